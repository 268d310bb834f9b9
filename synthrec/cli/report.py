"""`synthrec report`: render the pages of a release from its records."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import release_argument


@click.command(short_help="Render the pages of a release.")
@release_argument
def report(release: Path) -> None:
    """Render the report of RELEASE from release.json and audit.json: a public page below share/, an internal one below private/."""
    from synthrec import pipeline

    for page in pipeline.report(release):
        click.echo(f"report  {page}")
