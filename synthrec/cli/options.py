"""Options that several commands share, worded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)

log_argument = click.argument("log", metavar="LOG")
release_argument = click.argument("release", metavar="RELEASE", type=FILE)
config_option = click.option(
    "--config",
    metavar="TOML",
    required=True,
    type=FILE,
    help="The configuration that `synthrec init` proposed and you completed.",
)
epsilon_option = click.option(
    "--epsilon",
    type=float,
    required=True,
    help="Privacy budget of the whole release, per user: smaller is more private and less useful. Usual values: 1 to 8.",
)
delta_option = click.option(
    "--delta",
    type=float,
    required=True,
    help="Must be below 1 / population; a tenth of that or less is usual, for example 1e-5.",
)
model_option = click.option(
    "--model",
    type=click.Choice(["gan", "moments", "marginals"]),
    default="gan",
    show_default=True,
    help="`moments` and `marginals` are simpler private methods without a GAN: the baselines of the audit.",
)
exclude_option = click.option(
    "--exclude-users",
    metavar="FILE",
    type=FILE,
    help="User ids, one a line and nothing else, that are left out before anything else happens (opt-outs).",
)
mechanism_option = click.option(
    "--mechanism/--no-mechanism",
    default=True,
    show_default=True,
    help="Check the installed code with this plan on a simulated log as well, in a minute or two: share/mechanism.json.",
)
resume_option = click.option(
    "--resume",
    "again",
    is_flag=True,
    help="Continue a training that died, from the folder that it left beside --out. Give everything else as before; what is trained on is "
    "not read again. Nothing is charged twice: the release costs what it would have cost. `run` also does what is "
    "missing of a release that stands at --out: mechanism, audit, report.",
)
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but results and errors.")


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
