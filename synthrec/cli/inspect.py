"""`synthrec inspect`: prove what is in share/, by allow-list."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import release_argument
from synthrec.cli.terminal import show


@click.command(short_help="List all that a release holds, and find what should not be there.")
@release_argument
@click.option("--brief", is_flag=True, help="Print only what is not as it must be.")
def inspect(release: Path, brief: bool) -> None:
    """List each file, tensor, field and column in share/ of RELEASE, and where it comes from:
    public, paid by an entry of the ledger, post-processing or synthetic.

    Ends with exit code 1 if anything else is there: a row or an id that is not synthetic, a file, a
    tensor (such as an optimizer's), a field, metadata, bytes, a script. Where private/ is at hand
    it also looks for people and bytes of the bounded log; that answer is PRIVATE. It cannot see
    whether a value was noised before it was written.
    """
    from synthrec.inspection.private import compare_with_private
    from synthrec.inspection.share import inspect_share
    from synthrec.release import open_folder

    folder = open_folder(release)
    inspection = inspect_share(folder.share)
    for part in inspection.problems if brief else inspection.parts:
        state = "ok  " if part.problem is None else "FAIL"
        show(
            f"{state}  {part.file:<22} {part.name:<32} {part.shape:<18} {part.problem or part.origin}"
        )
    for note in inspection.notes:
        show(f"note  {note}")
    passed = inspection.passed
    if passed and folder.bounded.is_dir():
        show("\nPRIVATE, compared with the bounded log:")
        for part in compare_with_private(folder):
            show(
                f"{'ok  ' if part.problem is None else 'FAIL'}  {part.file:<22} {part.name:<32} {part.problem or part.origin}"
            )
            passed = passed and part.problem is None
    show(f"\n{len(inspection.parts)} parts, {len(inspection.problems)} not as they must be")
    click.get_current_context().exit(0 if passed else 1)
