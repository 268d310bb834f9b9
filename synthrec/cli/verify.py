"""`synthrec verify`: check a release, or that synthrec does what it claims, instead of believing
it.
"""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import quiet_option
from synthrec.cli.terminal import show


@click.command(short_help="Check a release without the log, or the mechanism on a simulated one.")
@click.argument("release", metavar="[RELEASE]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--mechanism",
    is_flag=True,
    help="Run the conformance suite on the installed code, on a log that nobody is in.",
)
@click.option(
    "--config",
    metavar="TOML",
    type=click.Path(path_type=Path),
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
    type=click.Path(path_type=Path),
    help="With --mechanism: also write the record of all checks there.",
)
@quiet_option
def verify(
    release: Path | None,
    mechanism: bool,
    config: Path | None,
    epsilon: float | None,
    delta: float | None,
    out: Path | None,
    quiet: bool,
) -> None:
    """Check RELEASE, or its share/ alone, as somebody can who receives it: hashes, the seals of its
        ledger excerpt, epsilon computed anew by two accountants, contents. With --mechanism, look for
        ways in which the installed code would not do what a ledger says, in about a minute. Opens no
        log and spends nothing.

        \b
        synthrec verify RELEASE                     a release, without the log
    synthrec verify --mechanism                 the simulated log and its own plan
    synthrec verify --mechanism --config TOML   the plan of a configuration
    synthrec verify --mechanism RELEASE         the plan of a release; beside private/, share/mechanism.json and the pages say the result
        With every answer frozen, a log and that log without some user must release the same bytes; one
        user moves no sum by more than its declared norm; noise has the planned scale and is new each
        time; everybody takes part by independent coins; planted users cannot be told beyond the claim;
        the claim is no lower than the ledger's lines allow. Exit code 1 if a check fails.
    """
    if not mechanism:
        if release is None or config or out or epsilon is not None or delta is not None:
            raise click.UsageError("say what to check: RELEASE, or --mechanism with its options")
        _share(release)
    if release is not None and (config is not None or epsilon is not None or delta is not None):
        raise click.UsageError(
            "a release has its own plan: leave out --config, --epsilon and --delta"
        )
    _mechanism(release=release, config=config, epsilon=epsilon, delta=delta, out=out, quiet=quiet)


def _mechanism(
    *,
    release: Path | None,
    config: Path | None,
    epsilon: float | None,
    delta: float | None,
    out: Path | None,
    quiet: bool,
) -> None:
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_conformance
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema
    from synthrec.release import open_folder
    from synthrec.report.record import write_record

    schema = None if config is None else Schema.load(config)
    record = pipeline.verify_mechanism(
        release=release,
        schema=schema,
        epsilon=epsilon,
        delta=delta,
        progress=progress_for(quiet=quiet),
    )
    echo_conformance(record)
    if out is not None:
        write_record(record, path=out)
    if release is not None and open_folder(release).private.is_dir():
        show(f"written  {pipeline.keep_mechanism(release, record)}")
    click.get_current_context().exit(0 if record.passed else 1)


def _share(release: Path) -> None:
    from synthrec.cli.outcome import echo_checks
    from synthrec.inspection.recipient import verify_share
    from synthrec.release import open_folder

    click.get_current_context().exit(echo_checks(verify_share(open_folder(release).share)))
