"""`synthrec ledger show`: what was ever spent on a source."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(short_help="What was ever spent on a source.")
def ledger() -> None:
    """Look at the ledger of a source log: every mechanism that ever saw it."""


@ledger.command()
@click.argument("path", metavar="LEDGER", type=click.Path(path_type=Path))
def show(path: Path) -> None:
    """Print what LEDGER holds. It is a public record: it has no value of the log."""
    from synthrec.privacy.ledger import Ledger

    for line in Ledger.read(path).describe():
        click.echo(line)
