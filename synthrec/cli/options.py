"""Options that several commands share, worded once."""

from __future__ import annotations

from collections.abc import Callable
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
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but results and errors.")
