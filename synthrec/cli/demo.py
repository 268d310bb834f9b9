"""`synthrec demo`: the whole chain on a simulated log, for whoever wants to see it once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthrec.cli.options import FILE, quiet_option
from synthrec.cli.terminal import show, show_wrapped

if TYPE_CHECKING:
    from synthrec.audit.record import AuditRecord

USERS, ITEMS, SEED = 20_000, 800, 1
SYNTHETIC_USERS = 4_000  # at most: what an audit costs grows with them
EPSILON, DELTA = 8.0, 4e-6
FIVE = 5  # users who are shown
AUDITED = 2_000  # users, about, who are kept out of training; of few users AUDIT_SHARE
AUDIT_SHARE = 0.3
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
@click.option(
    "--mechanism/--no-mechanism",
    default=False,
    show_default=True,
    help="Check the installed code on another simulated log as well: a minute or two more.",
)
@quiet_option
def demo(out: Path | None, users: int, mechanism: bool, quiet: bool) -> None:
    """Run the whole chain on a simulated movie-rating log: synthetic log, audit and report, in
    about three minutes on two cores.

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
        audit_share=min(AUDIT_SHARE, AUDITED / users),
        synthetic_users=min(SYNTHETIC_USERS, 2 * users),
        mechanism=mechanism,
        progress=progress_for(quiet=quiet),
    )
    _show_made(release, people=users)
    picture = _draw(record, folder / "utility.svg")
    code = echo_outcome(release, record)
    if picture is not None:
        show(f"\npicture          {picture}")
    show("\nNow with a log of your own:")
    show("  synthrec init YOUR_LOG.csv --out synthrec.toml")
    click.get_current_context().exit(code)


def _show_made(release: Path, *, people: int) -> None:
    """What was made, and five of those who are in it, in words."""
    import pandas as pd

    from synthrec.synthesizer import read

    log = read(release)
    films = pd.read_csv(release.parent / "items.csv").set_index("item_id")
    events = log.events.join(films, on="item_id").sort_values("timestamp")
    show_wrapped(
        f"Made: {events['user_id'].nunique():,} synthetic users with {len(events):,} ratings of {events['item_id'].nunique():,} films, "
        f"from a log of {people:,} simulated people. Nobody in it ever lived. Five of them:"
    )
    assert log.users is not None, "the simulated log has users"
    for _, user in log.users.head(FIVE).iterrows():
        show_wrapped(_in_words(user, events[events["user_id"] == user["user_id"]]))
    show()


def _in_words(user: Any, seen: Any) -> str:
    """Who somebody is and what they watched."""
    who = {"F": "A woman", "M": "A man"}.get(user["gender"], "Somebody")
    age = f" of {user['age_band']}" if isinstance(user["age_band"], str) else ""
    home = {"abroad": "abroad"}.get(user["region"], f"in the {user['region']}")
    genres = seen["genres"].str.split("|").explode().value_counts().index[:2]
    months = dict.fromkeys(f"{seen['timestamp'].iloc[end]:%B}" for end in (0, -1))
    best = seen.sort_values("rating", ascending=False, kind="stable").iloc[[0, -1]]
    (loved, most), (last, least) = zip(best["title"], best["rating"], strict=True)
    return (
        f"{who}{age}, {home}: {len(seen)} films in {' to '.join(months)}, most of them {' and '.join(genres)}. Gave {most} to "
        f'"{loved}" and {least} to "{last}".'
    )


def _draw(record: AuditRecord, path: Path) -> Path | None:
    """Every method's use beside the release's, as a picture; says the figures of the release."""
    from synthrec.report.plots.utility import ladder
    from synthrec.report.sentences import percent

    use = None if record.utility is None else record.utility.protocol
    if use is None:
        return None
    mine = next((arm for arm in use.ladder if arm.name == "synthrec"), None)
    if mine is not None and mine.gap_closed and mine.ranking_gap_closed:
        show_wrapped(
            f"A recommender that learns from them alone closes {percent(mine.gap_closed.value)} of the gap in rating error between "
            f"knowing nothing and the people's own log, and {percent(mine.ranking_gap_closed.value)} of the gap in ranking."
        )
        show()
    path.write_text(ladder(use), encoding="utf-8")
    return path


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
