"""`synthrec explain`: the taste axes of a release, in the names of item features; needs `share/`
alone.
"""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import FILE, release_argument
from synthrec.cli.terminal import show


@click.command(short_help="What people in a release differ in, in words.")
@release_argument
@click.option(
    "--axes",
    type=click.IntRange(1, 12),
    default=4,
    show_default=True,
    help="How many axes of choosing and of rating.",
)
@click.option(
    "--catalogue",
    metavar="FILE",
    type=FILE,
    help="Show titles from this file instead of item ids.",
)
@click.option(
    "--out",
    metavar="SVG",
    type=FILE,
    help="Draw the axes into a new file that ends in .svg.",
)
def explain(release: Path, axes: int, catalogue: Path | None, out: Path | None) -> None:
    """Say what the people of RELEASE differ in: the widest axes of what they pick and of how they
    rate, in the names of item features.

    It reads share/ alone and costs no privacy budget.
    """
    from synthrec import explain as explaining

    taste = explaining.explain(release, axes=axes, catalogue=catalogue)
    for line in taste.lines():
        show(line)
    if out is not None:
        show(f"\ntaste axes  {explaining.draw_into(out, taste, release=release)}")
