"""`synthrec report`: render the pages of a release from its records, or check that they still
follow from them.
"""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import release_argument
from synthrec.cli.terminal import show


@click.command(short_help="Render the pages of a release, or check them.")
@release_argument
@click.option(
    "--edition",
    type=click.Choice(["internal", "public"]),
    help="Render this one only.  [default: both]",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; see whether pages and texts follow from the records.",
)
def report(release: Path, edition: str | None, check: bool) -> None:
    """Render the report of RELEASE from release.json, mechanism.json and audit.json.

    Below share/: a public page, statement.txt (the claim in plain sentences), data_card.md (for
    whoever receives the files) and deployment.json (for a registry). Below private/: an internal
    page.

    With --check everything is rendered anew and compared byte for byte, hashes are compared with
    the manifest, epsilon is computed anew from the ledger excerpt, and the verdict is drawn anew
    from the audit's figures. Exit code 1 if anything no longer follows.
    """
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_checks
    from synthrec.inspection.checks import check_report
    from synthrec.release import open_folder
    from synthrec.report.edition import Edition

    if check:
        click.get_current_context().exit(echo_checks(check_report(open_folder(release))))
    for page in pipeline.report(
        release, editions=tuple(Edition) if edition is None else (Edition(edition),)
    ):
        show(f"report  {page}")
