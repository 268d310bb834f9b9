"""Four logs of kinds that nothing was tuned on: each goes from `init` to `inspect` by filling in its
"?" lines alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from synthrec.cli.main import cli

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class HeldOut:
    """A log, and what its owner writes in the place of each "?" (line's name -> (old, new))."""

    name: str
    make: Callable[[np.random.Generator], Tables]
    answers: dict[str, tuple[str, str]]
    log: str
    columns: tuple[str, ...]
    public: tuple[str, ...] = field(default=())


def picked(rng: np.random.Generator, *, users: int, items: int, each: int) -> pd.DataFrame:
    """Who picked what: popular items more often, no pair twice."""
    chance = 1 / np.arange(3, items + 3)
    counts = rng.integers(3, 2 * each, users)
    rows = [
        (user, item)
        for user, count in enumerate(counts)
        for item in rng.choice(items, min(count, items), replace=False, p=chance / chance.sum())
    ]
    return pd.DataFrame(rows, columns=["user", "item"])


def anime(rng: np.random.Generator) -> Tables:
    frame = picked(rng, users=500, items=80, each=25)
    frame["score"] = rng.integers(1, 11, len(frame))
    genres = [
        ", ".join(rng.choice(["Action", "Drama", "School"], 2, replace=False)) for _ in range(80)
    ]
    catalogue = pd.DataFrame(
        {"anime_id": range(80), "genre": genres, "episodes": rng.integers(1, 60, 80)}
    )
    return {
        "scores.csv": frame.rename(columns={"user": "user_id", "item": "anime_id"}),
        "scores.items.csv": catalogue,
    }


def games(rng: np.random.Generator) -> Tables:
    frame = picked(rng, users=600, items=60, each=10)
    hours = np.round(rng.lognormal(1.5, 1.2, len(frame)) + 0.1, 1)
    return {
        "playtime.tsv": pd.DataFrame(
            {
                "steam-id": frame["user"] + 7000,
                "game": [f"Game {i}" for i in frame["item"]],
                "hours": hours,
            }
        )
    }


def artists(rng: np.random.Generator) -> Tables:
    frame = picked(rng, users=600, items=70, each=12)
    when = pd.Timestamp("2023-01-01") + pd.to_timedelta(rng.integers(0, 300, len(frame)), "D")
    return {
        "plays.csv": pd.DataFrame(
            {
                "listener_id": [f"l{user:04}" for user in frame["user"]],
                "artist": [f"artist {i}" for i in frame["item"]],
                "plays": rng.integers(1, 400, len(frame)),
                "last_played": when.dt.strftime("%Y-%m-%d")
                if hasattr(when, "dt")
                else when.strftime("%Y-%m-%d"),
            }
        )
    }


def half_stars(rng: np.random.Generator) -> Tables:
    frame = picked(rng, users=600, items=90, each=30)
    return {
        "ratings.csv": pd.DataFrame(
            {
                "userId": frame["user"] + 1,
                "movieId": frame["item"] * 3 + 1,
                "rating": rng.integers(1, 11, len(frame)) / 2,
                "timestamp": rng.integers(1_500_000_000, 1_520_000_000, len(frame)),
            }
        ),
        "ratings.items.csv": pd.DataFrame(
            {
                "movieId": np.arange(90) * 3 + 1,
                "title": [f"A Film of {i} ({1950 + i % 60})" for i in range(90)],
                "genres": ["Comedy|Drama" if i % 2 else "Drama" for i in range(90)],
            }
        ),
    }


SCALE = 'min = "?", max = "?", step = "?"'
OPEN_ITEMS = ('catalogue = "?"', 'vocabulary = "dp"')
KINDS = (
    HeldOut(
        "ratings 1-10 with a genre catalogue",
        anime,
        {
            "population": ('"?"', "500"),
            "score": (SCALE, "min = 1, max = 10, step = 1"),
            "independent_of_log": ('"?"', "true"),
        },
        log="scores.csv",
        columns=("user_id", "anime_id", "score"),
    ),
    HeldOut(
        "play hours without ratings",
        games,
        {
            "population": ('"?"', "600"),
            "game": OPEN_ITEMS,
            "hours": ('min = "?", max = "?"', "min = 0.1, max = 500.0"),
        },
        log="playtime.tsv",
        columns=("steam-id", "game", "hours"),
    ),
    HeldOut(
        "play counts without a catalogue",
        artists,
        {
            "population": ('"?"', "600"),
            "artist": OPEN_ITEMS,
            "plays": ('min = "?", max = "?"', 'bounds = "dp"'),
            "last_played": (
                'unit = "?", zone = "UTC", min = "?", max = "?"',
                'unit = "iso", bounds = "dp"',
            ),
        },
        log="plays.csv",
        columns=("listener_id", "artist", "plays", "last_played"),
    ),
    HeldOut(
        "half stars of 600 people",
        half_stars,
        {
            "population": ('"?"', "600"),
            "rating": (SCALE, "min = 0.5, max = 5, step = 0.5"),
            "timestamp": (
                'unit = "?", zone = "UTC", min = "?", max = "?"',
                'unit = "s", zone = "UTC", min = "2017-07-01", max = "2018-03-31"',
            ),
            "independent_of_log": ('"?"', "true"),
        },
        log="ratings.csv",
        columns=("userId", "movieId", "rating", "timestamp"),
    ),
)


def call(*words: str | Path) -> str:
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, f"{words[0]}: {done.output}"
    return done.output


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_log_of_another_kind_goes_from_init_to_inspect(kind: HeldOut, tmp_path: Path) -> None:
    for name, table in kind.make(np.random.default_rng(5)).items():
        table.to_csv(tmp_path / name, index=False, sep="\t" if name.endswith(".tsv") else ",")
    log, config, release = tmp_path / kind.log, tmp_path / "synthrec.toml", tmp_path / "release"
    call("init", log, "--out", config)
    lines = []
    for line in config.read_text(encoding="utf-8").splitlines():
        name = line.split("=")[0].strip().strip('"')
        if '"?"' in line.split("#")[0]:
            old, new = kind.answers[name]
            assert old in line, line
            line = line.split("#")[0].replace(old, new)
        lines.append(line)
    config.write_text("\n".join(lines), encoding="utf-8")
    budget = ("--epsilon", "8", "--delta", "1e-4")
    call("plan", config, *budget)
    made = ("--model", "moments", "--device", "cpu", "--quiet")
    call("fit", log, "--config", config, *budget, "--out", release, *made)
    events = release / "share" / "events.parquet"
    call("sample", release, "--users", "200", "--out", events, "--quiet")
    call("report", release)
    call("inspect", release, "--brief")
    found = pq.read_table(events)
    assert tuple(found.column_names) == kind.columns and found.num_rows > 0
