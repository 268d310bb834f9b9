"""`synthrec run`: the whole chain, from a log to an audited release."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import (
    audit_share_option,
    config_option,
    delta_option,
    device_option,
    epsilon_option,
    exclude_option,
    log_argument,
    mechanism_option,
    model_option,
    out_option,
    quiet_option,
    resume_option,
)


@click.command(short_help="From a log to an audited release: fit, sample, audit, report.")
@log_argument
@config_option
@epsilon_option
@delta_option
@out_option
@audit_share_option(0.3)
@model_option
@device_option
@exclude_option
@mechanism_option
@resume_option
@quiet_option
def run(
    log: str,
    config: Path,
    epsilon: float,
    delta: float,
    out: Path,
    audit_share: float,
    model: str,
    device: str,
    exclude_users: Path | None,
    mechanism: bool,
    again: bool,
    quiet: bool,
) -> None:
    """Fit, sample, audit and report in one go: from LOG to a release in a new folder.

    share/ in that folder is what may leave. private/ stays with you: it holds the audit and the
    internal report.
    """
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_outcome
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema

    record = pipeline.run(
        log,
        schema=Schema.load(config),
        epsilon=epsilon,
        delta=delta,
        out=out,
        model=model,
        audit_share=audit_share,
        exclude_users=exclude_users,
        device=device,
        mechanism=mechanism,
        again=again,
        progress=progress_for(quiet=quiet),
    )
    click.get_current_context().exit(echo_outcome(out, record))
