"""`synthrec run` and `synthrec fit`: from a log to an audited release, or to a generator alone. No
other command spends budget.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click

from synthrec.cli.options import (
    FILE,
    Command,
    config_option,
    delta_option,
    epsilon_option,
    exclude_option,
    log_argument,
    mechanism_option,
    model_option,
    quiet_option,
)
from synthrec.cli.terminal import show

resume_option = click.option(
    "--resume",
    "again",
    is_flag=True,
    help="Continue a training that died, from the folder that it left beside --out. Give everything else as before; what is trained on is "
    "not read again. Nothing is charged twice: the release costs what it would have cost. `run` also does what is "
    "missing of a release that stands at --out: mechanism, audit, report.",
)


def training_options(*, audit_share: float) -> Callable[[Command], Command]:
    """What every training is asked for: log, configuration, budget, folder, model, opt-outs; the
    command gets all but the first two by the names that the pipeline has for them.
    """
    options = (
        log_argument,
        config_option,
        epsilon_option,
        delta_option,
        click.option(
            "--out",
            metavar="FOLDER",
            required=True,
            type=FILE,
            help="Folder of the release. It must not exist yet.",
        ),
        click.option(
            "--audit-share",
            type=click.FloatRange(0, 0.7),
            default=audit_share,
            show_default=True,
            help="Share of users who are kept out of training, so that the audit can compare members with people outside. "
            "Who they are is drawn by a secret key. 0 means that nobody is and that no attack can be measured.",
        ),
        model_option,
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where the GAN is trained.",
        ),
        exclude_option,
    )
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


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
