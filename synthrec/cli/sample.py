"""`synthrec sample`: draw synthetic users from a release; costs no budget and needs `share/` alone."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import quiet_option, release_argument


@click.command(short_help="Draw synthetic users from a release, at no cost.")
@release_argument
@click.option("--users", type=click.IntRange(min=1), required=True, help="How many synthetic users to draw.")
@click.option(
    "--out", metavar="FILE", required=True, type=click.Path(path_type=Path), help="A new file that ends in .parquet, .csv or .csv.gz."
)
@click.option("--seed", type=click.IntRange(min=0), default=None, help="Equal seeds draw equal users. It touches no privacy noise.")
@quiet_option
def sample(release: Path, users: int, out: Path, seed: int | None, quiet: bool) -> None:
    """Draw synthetic users from RELEASE. As many and as often as you like: it costs no privacy budget."""
    from synthrec import pipeline
    from synthrec.cli.progress import progress_for

    written = pipeline.sample(release, users=users, out=out, seed=seed, progress=progress_for(quiet=quiet))
    click.echo(f"synthetic log  {written}")
