"""`synthrec audit`: attack a release and measure its use, on the real log."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import quiet_option, release_argument


@click.command(
    short_help="Attack a release and measure its use.",
    epilog="The audit's figures are measured on the real log, so they stay below private/. Next: `synthrec report RELEASE`.",
)
@release_argument
@click.option("--log", metavar="LOG", required=True, help="The log that the release was made from.")
@quiet_option
def audit(release: Path, log: str, quiet: bool) -> None:
    """Attack RELEASE with the real log at hand and measure how useful it is. Ends with exit code 1 if a leak is detected."""
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_audit
    from synthrec.cli.progress import progress_for

    record = pipeline.audit(release, log=log, progress=progress_for(quiet=quiet))
    echo_audit(record)
    click.get_current_context().exit(record.verdict.exit_code)
