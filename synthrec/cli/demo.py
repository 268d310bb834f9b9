"""`synthrec demo`: the whole chain on a simulated log, for whoever wants to see it once."""

from __future__ import annotations

from pathlib import Path

import click

from synthrec.cli.options import FILE, mechanism_option, quiet_option
from synthrec.cli.terminal import show

USERS, ITEMS, SEED = 3_000, 800, 1
EPSILON, DELTA, AUDIT_SHARE = 8.0, 1e-5, 0.3
DEFAULT = Path("synthrec-demo")


@click.command(short_help="See the whole chain run on a simulated log.")
@click.option(
    "--out",
    metavar="FOLDER",
    type=FILE,
    help="Folder to make.  [default: synthrec-demo, or a free name]",
)
@click.option(
    "--users",
    type=click.IntRange(min=200),
    default=USERS,
    show_default=True,
    help="How many people the simulated log has.",
)
@mechanism_option
@quiet_option
def demo(out: Path | None, users: int, mechanism: bool, quiet: bool) -> None:
    """Run the whole chain on a simulated movie-rating log: synthetic log, audit and report, in
    about four minutes.

    Nobody is in that log, so you may look at every file.
    """
    from synthrec import pipeline
    from synthrec.cli.outcome import echo_outcome
    from synthrec.cli.progress import progress_for
    from synthrec.data.schema import Schema

    folder = _new_folder(out)
    config = _simulate(folder, users=users)
    release = folder / "release"
    record = pipeline.run(
        folder / "events.csv",
        schema=Schema.load(config),
        epsilon=EPSILON,
        delta=DELTA,
        out=release,
        audit_share=AUDIT_SHARE,
        mechanism=mechanism,
        progress=progress_for(quiet=quiet),
    )
    code = echo_outcome(release, record)
    show("\nNow with a log of your own:")
    show("  synthrec init YOUR_LOG.csv --out synthrec.toml")
    click.get_current_context().exit(code)


def _new_folder(out: Path | None) -> Path:
    from synthrec.errors import ReleaseError

    candidates = (
        [out]
        if out is not None
        else [DEFAULT, *(DEFAULT.with_name(f"{DEFAULT.name}-{number}") for number in range(2, 100))]
    )
    for folder in candidates:
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            found = error.strerror or type(error).__name__
            raise ReleaseError(
                f"{folder} must be writable",
                found=found,
                remedy="Choose another folder with --out.",
            ) from None
        return folder
    raise ReleaseError(
        f"{candidates[0]} must not exist yet",
        found="a folder of that name",
        remedy="Choose another with --out.",
    )


def _simulate(folder: Path, *, users: int) -> Path:
    from synthrec.data.simulator import simulate

    return simulate(users=users, items=ITEMS, seed=SEED).write(folder)
