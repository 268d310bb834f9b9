"""`synthrec purge`: remove what of a release must not outlive its use."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import release_argument
from synthrec.cli.terminal import show


@click.command(short_help="Remove private/ of a release; share/ stays.")
@release_argument
@click.option("--yes", is_flag=True, help="Do it without asking.")
def purge(release: Path, yes: bool) -> None:
    """Remove private/ of RELEASE: bounded log, roles key, audit, internal report. share/ is not
    touched.

    What is gone cannot be made again: no further audit of this release, no internal report, no
    comparison with the log by `synthrec inspect`. Sampling, `inspect`, `verify` and the public
    report go on. The source's ledger and its key stay where they are.
    """
    from synthrec.release import open_folder, purge_private

    folder = open_folder(release)
    if not yes:
        click.confirm(
            "Remove private/? The release can then be audited no more, and there is no way back",
            abort=True,
        )
    removed = purge_private(folder)
    beside = f" and {removed.stale} half-made release(s) beside it" if removed.stale else ""
    show(f"removed  {removed.files} files of private/{beside}")
    show(
        "No audit, internal report or comparison with the log can be made any more. share/ is as it was."
    )
