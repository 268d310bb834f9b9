"""`synthrec plan`: what a budget buys, before anything is spent."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from synthrec.cli.options import FILE, delta_option, model_option, quiet_option
from synthrec.cli.terminal import show, show_wrapped

if TYPE_CHECKING:
    from synthrec.data.schema import Schema
    from synthrec.privacy.plan import Model

WIDTHS = (10, 10, 10, 24, 12)


@click.command(
    short_help="Say what a budget buys; touches no data.",
    epilog="Next: `synthrec run LOG --config TOML --epsilon ... --delta ... --out RELEASE`.",
)
@click.argument("config", metavar="TOML", type=FILE)
@click.option(
    "--epsilon",
    type=float,
    help="Privacy budget of the whole release, per user: smaller is more private and less useful. Usual values: 1 to 8. "
    "With --simulate one more beside 0.5, 1, 3 and 8.",
)
@delta_option
@model_option
@click.option(
    "--simulate",
    is_flag=True,
    help="Run the whole pipeline on simulated people of this shape instead, at several epsilons, in some minutes: table and page.",
)
@click.option(
    "--page",
    metavar="FILE",
    type=FILE,
    default="plan.html",
    show_default=True,
    help="Where --simulate writes its page. A simulation that was ended goes on from what lies beside it.",
)
@quiet_option
def plan(
    config: Path,
    epsilon: float | None,
    delta: float,
    model: Model,
    simulate: bool,
    page: Path,
    quiet: bool,
) -> None:
    """Say what a budget buys. Reads the public catalogue and the source's ledger but no log, and
    spends nothing.

    Prints the noise of each measurement in your users' own units, how the budget is split, what an
    attacker can reach at most, the time and memory to expect, whether the plan is feasible for the
    declared population, and what of epsilon_cap all releases will have spent; exit code 2 if that
    is more than the cap.

    With --simulate neither log nor ledger is read: people who never lived, as many as declared, go
    through the pipeline at each epsilon and without noise.
    """
    from synthrec.data.schema import Schema

    schema = Schema.load(config)
    if simulate:
        asked = () if epsilon is None else (epsilon,)
        _simulate(schema, delta=delta, epsilons=asked, model=model, page=page, quiet=quiet)
    elif epsilon is None:
        raise click.MissingParameter(param_hint="--epsilon", param_type="option")
    else:
        _plan(schema, epsilon=epsilon, delta=delta, model=model)


def _plan(schema: Schema, *, epsilon: float, delta: float, model: Model) -> None:
    from synthrec.data.catalogue import Catalogue
    from synthrec.forecast import forecast
    from synthrec.model.recipe import plan_release
    from synthrec.privacy.budget import cap_of, require_budget
    from synthrec.privacy.ledger import Ledger

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


def _simulate(
    schema: Schema,
    *,
    delta: float,
    epsilons: tuple[float, ...],
    model: Model,
    page: Path,
    quiet: bool,
) -> None:
    from synthrec.cli.progress import progress_for
    from synthrec.release import write_page
    from synthrec.report.plan_page import HEAD, plan_page
    from synthrec.simulate_plan import simulate_plan

    parts = page.with_name(f"{page.name}.parts")
    found = simulate_plan(
        schema,
        delta=delta,
        epsilons=epsilons,
        model=model,
        parts=parts,
        progress=progress_for(quiet=quiet),
    )
    for row in (HEAD, *found.rows()):
        show("".join(f"{cell:<{width}}" for cell, width in zip(row, WIDTHS, strict=True)).rstrip())
    for sentence in found.sentences():
        show_wrapped(sentence)
    write_page(page, plan_page(found))
    shutil.rmtree(parts, ignore_errors=True)
    show(f"\npage  {page}")
