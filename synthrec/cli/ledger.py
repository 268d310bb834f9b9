"""`synthrec ledger show` and `verify`: what was ever spent on a source, what is left, and whether
its ledger is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthrec.cli import terminal
from synthrec.cli.options import FILE

if TYPE_CHECKING:
    from synthrec.privacy.budget import Balance

ledger_argument = click.argument("path", metavar="LEDGER", type=FILE)
cap_option = click.option(
    "--config",
    metavar="TOML",
    type=FILE,
    help="The source's configuration, whose epsilon_cap says what is left.",
)
at_option = click.option(
    "--delta",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Compute epsilon at this delta, instead of the smallest that a release was planned for.",
)


@click.group(short_help="What was ever spent on a source, and what is left.")
def ledger() -> None:
    """Look at the ledger of a source log: every mechanism that ever saw it."""


@ledger.command()
@ledger_argument
@cap_option
@at_option
def show(path: Path, config: Path | None, delta: float | None) -> None:
    """Print what LEDGER holds, what it adds up to, and what is left. It is a public record: it has
    no value of the log.
    """
    from synthrec.errors import PlanError
    from synthrec.privacy.budget import balance_of
    from synthrec.privacy.ledger import Ledger

    held = Ledger.read(path)
    for line in held.describe():
        terminal.show(line)
    terminal.show()
    try:
        balance = balance_of(held.entries, delta=delta, cap=_declared(config)["cap"])
    except PlanError as error:
        terminal.show(str(error))
        return
    _echo_balance(balance)


@ledger.command()
@ledger_argument
@cap_option
@at_option
@click.option(
    "--release",
    "releases",
    metavar="RELEASE",
    multiple=True,
    type=FILE,
    help="A release of this source, whose entries must all be in LEDGER: it finds a ledger restored from an old backup. Repeats.",
)
def verify(
    path: Path, config: Path | None, delta: float | None, releases: tuple[Path, ...]
) -> None:
    """Check that LEDGER is whole, and compute its epsilon anew with two accountants.

    Exit code 1 if a line was altered or lost, is of an unknown version or kind, a release's entries
    are missing, the accountants disagree, or more is spent than the cap allows; each finding says
    where. Needs no log.
    """
    from synthrec.privacy.budget import check_ledger
    from synthrec.release import open_folder

    excerpts = tuple(open_folder(release).share / "ledger.jsonl" for release in releases)
    checked = check_ledger(path, delta=delta, excerpts=excerpts, **_declared(config))
    if checked.balance is not None:
        _echo_balance(checked.balance)
    for note in checked.notes:
        terminal.show(f"note  {note}")
    for fault in checked.faults:
        terminal.show(f"FAULT  {fault}")
    terminal.show(
        f"{checked.entries} entries: {f'{len(checked.faults)} faults' if checked.faults else 'whole, and the sums agree'}"
    )
    click.get_current_context().exit(1 if checked.faults else 0)


def _declared(config: Path | None) -> dict[str, Any]:
    """Cap and source's name, where a configuration is at hand."""
    from synthrec.data.schema import Schema

    if config is None:
        return {"cap": None, "source": None}
    source = Schema.load(config).source
    return {"cap": source.epsilon_cap, "source": source.name}


def _echo_balance(balance: Balance) -> None:
    for account in balance.accounts:
        died = f"  CHARGED {account.charged} OF {account.planned}: it died, or still runs; what was charged is spent"
        terminal.show(
            f"{account.release_id}  {account.kind:8}  {account.first_day}  epsilon {account.epsilon:.3f} "
            f"(second accountant {account.cross_check:.3f}) at delta {account.delta:g}{died if account.died else ''}"
        )
    terminal.show(
        f"all {balance.counted} releases and trials, for a user who is in every one: epsilon {balance.epsilon:.3f} "
        f"(second accountant {balance.cross_check:.3f}) at delta {balance.delta:g}"
    )
    if balance.internal_epsilon:
        terminal.show(
            f"internal, never outside private/ and not added: epsilon {balance.internal_epsilon:.3f}"
        )
    terminal.show(
        "the cap is in the source's configuration: name it with --config to see what is left"
        if balance.spent is None
        else f"cap {balance.spent.cap:g}: about {balance.left:.2f} is left for one further release, at delta "
        f"{balance.spent.delta:g}, the smallest of all plans"
    )
