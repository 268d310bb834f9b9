"""`synthrec fit`: train on a log; the only command besides `run` that spends budget."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from synthrec.cli.options import quiet_option, resume_option, training_options
from synthrec.cli.terminal import show


@click.command(
    short_help="Train a private generator on a log.",
    epilog="Next: `synthrec sample RELEASE --users 10000 --out events.parquet`.",
)
@training_options(audit_share=0.0)
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
def fit(log: str, config: Path, again: bool, quiet: bool, **asked_for: Any) -> None:
    """Train a private generator on LOG and put it into a new release folder.

    The budget is written to the source's ledger before it is spent: a run that is interrupted has
    spent what it was charged. It is continued with --resume.
    """
    from synthrec import pipeline
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema

    start = pipeline.resume if again else partial(pipeline.fit, log)
    release = start(schema=Schema.load(config), progress=progress_for(quiet=quiet), **asked_for)
    show(f"generator  {release / 'share' / 'generator.safetensors'}")
    show(f"Next: synthrec sample {release} --users 10000 --out events.parquet")
