"""`synthrec run`: the whole chain, from a log to an audited release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthrec.cli.options import mechanism_option, quiet_option, resume_option, training_options


@click.command(short_help="From a log to an audited release: fit, sample, audit, report.")
@training_options(audit_share=0.3)
@mechanism_option
@resume_option
@quiet_option
def run(log: str, config: Path, out: Path, quiet: bool, **asked_for: Any) -> None:
    """Fit, sample, audit and report in one go: from LOG to a release in a new folder.

    share/ in that folder is what may leave. private/ stays with you: it holds the audit and the
    internal report.
    """
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_outcome
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema

    schema, progress = Schema.load(config), progress_for(quiet=quiet)
    record = pipeline.run(log, schema=schema, out=out, progress=progress, **asked_for)
    click.get_current_context().exit(echo_outcome(out, record))
