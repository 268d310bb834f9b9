"""`synthrec verify`: check a release, or that synthrec does what it claims, instead of believing it."""

from __future__ import annotations

from pathlib import Path

import click


@click.command(short_help="Check a release without the log: hashes, ledger, epsilon, contents.")
@click.argument("release", metavar="RELEASE", type=click.Path(path_type=Path))
def verify(release: Path) -> None:
    """Check RELEASE, or its share/ alone, as somebody can who receives it: the hashes, the seals of its ledger excerpt, epsilon computed
    anew by two accountants, and its contents. Opens no log. Exit code 1 if a check fails.
    """
    _share(release)


def _share(release: Path) -> None:
    from synthrec.folder import open_folder
    from synthrec.inspection.recipient import verify_share

    checks = verify_share(open_folder(release).share)
    for check in checks:
        click.echo(f"{'ok  ' if check.passed else 'FAIL'}  {check.name:<24} {check.found}")
    click.get_current_context().exit(0 if all(check.passed for check in checks) else 1)
