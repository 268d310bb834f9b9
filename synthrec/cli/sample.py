"""`synthrec sample`: draw synthetic users from a release; costs no budget and needs `share/` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthrec.cli.options import FILE, quiet_option, release_argument
from synthrec.cli.terminal import show


@click.command(short_help="Draw synthetic users from a release, at no cost.")
@release_argument
@click.option(
    "--users", type=click.IntRange(min=1), required=True, help="How many synthetic users to draw."
)
@click.option(
    "--out",
    metavar="FILE",
    required=True,
    type=FILE,
    help="A new file that ends in .parquet, .csv, .csv.gz or .inter.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "recbole"]),
    default="table",
    show_default=True,
    help="`recbole`: RecBole's atomic files NAME.inter, NAME.user and NAME.item, as for --out NAME.inter.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=None,
    help="Equal seeds draw equal users. It touches no privacy noise.",
)
@click.option(
    "--where",
    metavar="NAME=VALUES",
    multiple=True,
    help="Which users: an attribute, or `events` for their number of events. Repeat it for several; all must hold.",
)
@click.option(
    "--items",
    metavar="NAME=VALUES",
    multiple=True,
    help="Which items: a set, category or number of the catalogue. Repeat it for several; all must hold.",
)
@click.option(
    "--from",
    "start",
    metavar="DATE",
    default=None,
    help="First day or moment, within the declared window.",
)
@click.option(
    "--to", "end", metavar="DATE", default=None, help="Last day or moment; a day counts whole."
)
@click.option(
    "--spreadsheet-safe",
    "safe_for_spreadsheets",
    is_flag=True,
    help="For a .csv that somebody will open in a spreadsheet: an apostrophe before each "
    "text cell that would be computed as a formula (it begins with =, +, -, @ or a control character).",
)
@quiet_option
def sample(
    release: Path, out: Path, form: str, safe_for_spreadsheets: bool, quiet: bool, **asked_for: Any
) -> None:
    """Draw synthetic users from RELEASE. As many and as often as you like: it costs no privacy
    budget.

    VALUES are `a,b`, or a range `1..5` with both ends in it, of which one may be left out (`18..`).
    For example, a month of comedies for young women who rate often:

    \b
        synthrec sample release --users 500 --out part.parquet \\
            --where gender=F --where age=18..35 --where events=20..100 \\
            --items genres=Comedy --from 1998-01-01 --to 1998-01-31

    Users outside a condition are not drawn, and nobody picks an item outside it: somebody with more
    events than items match has one event with each. The file's metadata says the conditions.
    """
    from synthrec import pipeline
    from synthrec.cli.progress import progress_for
    from synthrec.data.writer import SAFE_TEXT

    if form == "recbole" and out.suffix != ".inter":
        out = out.with_name(f"{out.name}.inter")
    written = pipeline.sample(
        release,
        out=out,
        safe_for_spreadsheets=safe_for_spreadsheets,
        progress=progress_for(quiet=quiet),
        **asked_for,
    )
    show(f"synthetic log  {written}")
    if safe_for_spreadsheets:
        show(f"spreadsheets   {SAFE_TEXT}")
