"""`synthrec plan`: what a budget buys, before anything is spent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthrec.cli.options import FILE, delta_option, epsilon_option, model_option
from synthrec.cli.terminal import show

if TYPE_CHECKING:
    from synthrec.privacy.plan import Model


@click.command(
    short_help="Say what a budget buys; touches no data.",
    epilog="Next: `synthrec run LOG --config TOML --epsilon ... --delta ... --out RELEASE`.",
)
@click.argument("config", metavar="TOML", type=FILE)
@epsilon_option
@delta_option
@model_option
def plan(config: Path, epsilon: float, delta: float, model: Model) -> None:
    """Say what a budget buys. Reads the public catalogue and the source's ledger but no log, and
    spends nothing.

    Prints the noise of each measurement in your users' own units, how the budget is split, what an
    attacker can reach at most, the time and memory to expect, whether the plan is feasible for the
    declared population, and what of epsilon_cap all releases will have spent; exit code 2 if that
    is more than the cap.
    """
    from synthrec.data.catalogue import Catalogue
    from synthrec.data.schema import Schema
    from synthrec.forecast import forecast
    from synthrec.model.recipe import plan_release
    from synthrec.privacy.budget import cap_of, require_budget
    from synthrec.privacy.ledger import Ledger

    schema = Schema.load(config)
    planned = plan_release(schema, epsilon=epsilon, delta=delta, model=model)
    path = schema.ledger_path
    spent = require_budget(
        Ledger.read(path) if path.exists() else Ledger(path, entries=()),
        source=schema.source.name,
        events=planned.events(),
        extra_delta=planned.extra_delta,
        delta=delta,
        cap=cap_of(schema.source, planned),
    )
    catalogue = None if schema.item_column.is_open else Catalogue.read(schema)
    for heading, lines in forecast(planned, catalogue=catalogue):
        show(heading)
        for line in lines:
            show(f"  {line}")
        show()
    show(f"Of epsilon_cap = {spent.cap:g}, at delta {spent.delta:g}")
    show(f"  {spent.epsilon:.3g} is spent, {spent.after:.3g} after this one")
