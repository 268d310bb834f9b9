"""`synthrec init`: propose a configuration for a log."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import FILE, log_argument
from synthrec.cli.terminal import show
from synthrec.storage import write_new_text


@click.command(
    short_help="Propose a configuration for a log of your own.",
    epilog='Next: replace every "?" and then try `synthrec plan synthrec.toml --epsilon 3 --delta 1e-5`.',
)
@log_argument
@click.option(
    "--out",
    metavar="TOML",
    default="synthrec.toml",
    show_default=True,
    type=FILE,
    help="File to write.",
)
@click.option(
    "--values-are-public",
    metavar="COLUMN",
    multiple=True,
    help="Fill in values, smallest and largest of this column from the log: you declare them public, and the file says so. Repeatable.",
)
def init(log: str, out: Path, values_are_public: tuple[str, ...]) -> None:
    """Propose a configuration for LOG, a CSV, Parquet or JSON-lines file, a glob or a folder.

    Names and file format are looked at, values are not. Where a declaration of yours is needed the
    file says "?".
    """
    from synthrec.data.propose import propose

    text = propose(log, values_are_public=values_are_public, folder=out.parent)
    write_new_text(out, text)
    questions = [
        line.split("=")[0].strip() for line in text.splitlines() if '"?"' in line.split("#")[0]
    ]
    show(f"Wrote {out}.")
    if questions:
        show(f'{len(questions)} lines wait for your word (marked "?"): {", ".join(questions)}.')
    show(f"Then: synthrec plan {out} --epsilon 3 --delta 1e-5")
