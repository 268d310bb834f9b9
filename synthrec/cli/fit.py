"""`synthrec fit`: train on a log; the only command besides `run` that spends budget."""

from __future__ import annotations

from functools import partial
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
    model_option,
    out_option,
    quiet_option,
    resume_option,
)
from synthrec.cli.terminal import show


@click.command(
    short_help="Train a private generator on a log.",
    epilog="Next: `synthrec sample RELEASE --users 10000 --out events.parquet`.",
)
@log_argument
@config_option
@epsilon_option
@delta_option
@out_option
@audit_share_option(0.0)
@model_option
@device_option
@exclude_option
@click.option(
    "--kind",
    type=click.Choice(["release", "trial"]),
    default="release",
    show_default=True,
    help="A trial is for you alone; it is charged and counts against the cap like a release, and `inspect` lets nobody take it "
    "for one.",
)
@resume_option
@quiet_option
def fit(
    log: str,
    config: Path,
    epsilon: float,
    delta: float,
    out: Path,
    audit_share: float,
    model: str,
    device: str,
    exclude_users: Path | None,
    kind: str,
    again: bool,
    quiet: bool,
) -> None:
    """Train a private generator on LOG and put it into a new release folder.

    The budget is written to the source's ledger before it is spent: a run that is interrupted has
    spent what it was charged. It is continued with --resume.
    """
    from synthrec import pipeline
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema

    start = pipeline.resume if again else partial(pipeline.fit, log)
    release = start(
        schema=Schema.load(config),
        epsilon=epsilon,
        delta=delta,
        out=out,
        model=model,
        audit_share=audit_share,
        exclude_users=exclude_users,
        device=device,
        kind=kind,
        progress=progress_for(quiet=quiet),
    )
    show(f"generator  {release / 'share' / 'generator.safetensors'}")
    show(f"Next: synthrec sample {release} --users 10000 --out events.parquet")
