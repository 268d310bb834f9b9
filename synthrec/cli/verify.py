"""`synthrec verify`: check a release, or that synthrec does what it claims, instead of believing
it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthrec.cli.options import FILE, quiet_option
from synthrec.cli.terminal import show


@click.command(short_help="Check a release without the log, or the mechanism on a simulated one.")
@click.argument("release", metavar="[RELEASE]", required=False, type=FILE)
@click.option(
    "--mechanism",
    is_flag=True,
    help="Run the conformance suite on the installed code, on a log that nobody is in.",
)
@click.option(
    "--config",
    metavar="TOML",
    type=FILE,
    help="With --mechanism: check the plan of this configuration.",
)
@click.option(
    "--epsilon",
    type=float,
    help="With --mechanism, of the plan.  [default: 8, or the configuration's cap if that is less]",
)
@click.option(
    "--delta",
    type=float,
    help="With --mechanism, of the plan.  [default: a tenth of 1 / population]",
)
@click.option(
    "--out",
    metavar="JSON",
    type=FILE,
    help="With --mechanism: also write the record of all checks there.",
)
@quiet_option
def verify(
    release: Path | None,
    mechanism: bool,
    config: Path | None,
    out: Path | None,
    quiet: bool,
    **budget: Any,
) -> None:
    """Check RELEASE, or its share/ alone, as somebody can who receives it: hashes, the seals of its
        ledger excerpt, epsilon computed anew by two accountants, contents. With --mechanism, look
        for ways in which the installed code would not do what a ledger says, in about a minute.
        Opens no log and spends nothing.

        \b
        synthrec verify RELEASE                     a release, without the log
    synthrec verify --mechanism                 the simulated log and its own plan synthrec verify
    --mechanism --config TOML   the plan of a configuration synthrec verify --mechanism RELEASE
    the plan of a release; beside private/, share/mechanism.json and the pages say the result
        With every answer frozen, a log and that log without some user must release the same bytes;
        one user moves no sum by more than its declared norm; noise has the planned scale and is new
        each time; everybody takes part by independent coins; planted users cannot be told beyond
        the claim; the claim is no lower than the ledger's lines allow. Exit code 1 if a check
        fails.
    """
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_checks, echo_conformance
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema
    from synthrec.inspection.checks import verify_share
    from synthrec.release import open_folder
    from synthrec.report.record import write_record

    planned = config is not None or any(value is not None for value in budget.values())
    if not mechanism:
        if release is None or planned or out:
            raise click.UsageError("say what to check: RELEASE, or --mechanism with its options")
        click.get_current_context().exit(echo_checks(verify_share(open_folder(release).share)))
    if release is not None and planned:
        raise click.UsageError(
            "a release has its own plan: leave out --config, --epsilon and --delta"
        )
    record = pipeline.verify_mechanism(
        release=release,
        schema=None if config is None else Schema.load(config),
        progress=progress_for(quiet=quiet),
        **budget,
    )
    echo_conformance(record)
    if out is not None:
        write_record(record, path=out)
    if release is not None and open_folder(release).private.is_dir():
        show(f"written  {pipeline.keep_mechanism(release, record)}")
    click.get_current_context().exit(0 if record.passed else 1)
