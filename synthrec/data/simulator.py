"""A simulated movie-rating log whose truth is known: the demo's data, and what tests and benchmarks
may score against.

Nobody is in it, so it is public. It was written before the model and is not changed to please one.
What it contains, on purpose:

- tails: activity is 12 + a log-normal count, an item's appeal is log-normal, both with a few very
  large values;
- users belong to hidden *circles* (a main one and a second one, mixed), items to hidden *scenes*; a
  circle loves some scenes, loathes
  others and ignores the rest, so tastes are a mixture, not a Gaussian. A visible profile is a pair
  of genres *and* an era, and affinities of profiles that share a genre are drawn independently, so
  taste is not linear in genres and year. Every profile hides two scenes that no attribute tells
  apart;
- franchises: a fan of one picks its other instalments too, more than scenes explain;
- taste depends on the time of day: each circle turns to other scenes by day, on weekday evenings
  and at weekends;
- a daily and weekly rhythm, weeks of activity, sessions of one mood, seconds to minutes between the
  events of a session;
- ratings 1 to 5: item quality + user bias + the user's spread times a saturating taste + mood +
  noise, rounded and cut to the scale;
- gender and age band go with the circle, region does not; two in a hundred users have no age band.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit

CONTEXTS = ("weekday day", "weekday evening", "weekend")
RATING_NOISE_STD = 0.8


@dataclass(frozen=True, eq=False)
class Truth:
    """What the simulator knows and a log does not show: who would pick what, when, and how they
    would rate it. Tests and benchmarks score against it.

    Shapes:
        quality, appeal float[V]; scene int[V]; franchise int[V], -1 outside; circle int[B]; bias,
        spread float[B]. liking float32[B, scenes]: a user's taste for each scene; mood
        float32[contexts, circles, scenes]: what the hour adds to it. fan bool[B, franchises]; share
        float[B, contexts]: how a user's events fall on the contexts.
    """

    quality: np.ndarray
    appeal: np.ndarray
    scene: np.ndarray
    franchise: np.ndarray
    circle: np.ndarray
    bias: np.ndarray
    spread: np.ndarray
    liking: np.ndarray
    mood: np.ndarray
    fan: np.ndarray
    share: np.ndarray

    def is_fan(self, user: np.ndarray, item: np.ndarray) -> np.ndarray:
        """Whether each user (row of `.users`) is a fan of the franchise of each item (row of
        `.items`); arguments broadcast.
        """
        franchise = self.franchise[item]
        return np.asarray(self.fan[user, np.maximum(franchise, 0)] & (franchise >= 0))

    def latent_rating(
        self, user: np.ndarray, item: np.ndarray, *, context: np.ndarray | int
    ) -> np.ndarray:
        """Mean of the rating before noise, rounding and the ends of the scale."""
        scene = self.scene[item]
        taste = 1.0 * np.tanh(self.liking[user, scene]) + 0.4 * self.is_fan(user, item)
        mood = 0.3 * np.tanh(self.mood[context, self.circle[user], scene])
        return np.asarray(
            3.2 + self.quality[item] + self.bias[user] + self.spread[user] * taste + mood
        )

    def choice_weights(self, users: np.ndarray) -> np.ndarray:
        """Relative weight with which each of `users` picks each item in each context. Shapes:
        int[B] -> float32[B, contexts, V].
        """
        mood = self.mood[:, self.circle[users], :].transpose(1, 0, 2)
        by_scene = np.exp(self.liking[users][:, None, :] + mood) * self.share[users][:, :, None]
        weights = by_scene[:, :, self.scene] * np.exp(self.appeal)
        everyone, items = users[:, None], np.arange(len(self.scene))[None, :]
        weights *= np.where(self.is_fan(everyone, items), 8.0, 1.0)[:, None, :]
        return np.asarray(weights, dtype=np.float32)


WINDOW_START, WINDOW_END = "2024-01-01", "2024-07-01"  # UTC; the first day is a Monday
_START_SECONDS = 1_704_067_200
_WEEKS = 25
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Horror",
    "Musical",
    "Romance",
    "Thriller",
)
GENDERS, AGE_BANDS, REGIONS = (
    ("F", "M"),
    ("under 18", "18-24", "25-34", "35-49", "50+"),
    ("north", "east", "south", "west", "abroad"),
)
_CIRCLES, _PROFILES, _TWINS = 10, 16, 2
_FIRST = (
    "Silent",
    "Golden",
    "Broken",
    "Last",
    "Hidden",
    "Crimson",
    "Paper",
    "Midnight",
    "Electric",
    "Distant",
    "Burning",
    "Winter",
    "Hollow",
    "Secret",
)
_SECOND = (
    "Harbour",
    "Garden",
    "Empire",
    "River",
    "Letter",
    "Station",
    "Promise",
    "Mirror",
    "Orchard",
    "Signal",
    "Voyage",
    "Tower",
    "Carnival",
    "Shadow",
)


@dataclass(frozen=True, eq=False)
class SimulatedLog:
    """Frames as a data owner would have them, and the truth behind them; row b of `users` and row v
    of `items` are the truth's b and v.

    `events`: user_id, item_id, rating, timestamp (seconds), in order of time. `users`: user_id,
    gender, age_band, region. `items`: item_id, title, genres (joined by "|"), year.
    """

    events: pd.DataFrame
    users: pd.DataFrame
    items: pd.DataFrame
    truth: Truth

    def write(self, folder: Path | str, *, events_per_user: int = 120) -> Path:
        """Write events.csv, users.csv, items.csv and a complete synthrec.toml into `folder`; return
        the path of the last.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("events", "users", "items"):
            getattr(self, name).to_csv(folder / f"{name}.csv", index=False)
        config = folder / "synthrec.toml"
        config.write_text(
            _CONFIG.format(
                population=len(self.users),
                events_per_user=events_per_user,
                start=WINDOW_START,
                end=WINDOW_END,
                genders=json.dumps(GENDERS),
                age_bands=json.dumps(AGE_BANDS),
                regions=json.dumps(REGIONS),
            ),
            encoding="utf-8",
        )
        return config


def simulate(*, users: int, items: int, seed: int) -> SimulatedLog:
    """Draw a world and a log in it; equal arguments give equal frames. About 110 events a user
    while items are many.
    """
    if users < 1 or items < 20:
        raise ValueError(f"users must be >= 1 and items >= 20, found {users} and {items}")
    rng = np.random.default_rng(seed)
    catalogue, scene, franchise, quality, appeal = _draw_items(rng, items=items)
    people, truth = _draw_users(
        rng, users=users, scene=scene, franchise=franchise, quality=quality, appeal=appeal
    )
    user, item, context = _draw_choices(rng, truth=truth)
    seconds, order = _draw_times(rng, truth=truth, user=user, item=item, context=context)
    user, item, context = user[order], item[order], context[order]
    noise = rng.normal(0.0, RATING_NOISE_STD, len(user))
    rating = np.clip(
        np.rint(truth.latent_rating(user, item, context=context) + noise), 1, 5
    ).astype(np.int64)
    events = pd.DataFrame(
        {
            "user_id": people["user_id"].to_numpy()[user],
            "item_id": catalogue["item_id"].to_numpy()[item],
            "rating": rating,
            "timestamp": seconds,
        }
    )
    return SimulatedLog(
        events.sort_values("timestamp", kind="stable", ignore_index=True), people, catalogue, truth
    )


def _draw_items(
    rng: np.random.Generator, *, items: int
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The public catalogue, then per item its scene, franchise, quality and appeal."""
    profile_genres = [
        rng.choice(len(GENRES), 2, replace=False) for _ in range(_PROFILES // 2)
    ]  # a pair serves an old and a new era
    scene = rng.choice(_PROFILES * _TWINS, items, p=rng.dirichlet(np.full(_PROFILES * _TWINS, 6.0)))
    appeal, quality = rng.multivariate_normal((0.0, 0.0), ((2.25, 0.3), (0.3, 0.16)), items).T
    franchise = np.full(items, -1)
    titles: list[str] = []
    start, end, number = 0, 0, 0
    names = rng.permutation(len(_FIRST) * len(_SECOND))
    for index in range(items):  # one in twenty titles opens a franchise of two to six instalments
        if index < end:
            titles.append(f"{titles[start]} {index - start + 1}")
            continue
        name = names[index % len(names)]
        titles.append(
            f"The {_FIRST[name % len(_FIRST)]} {_SECOND[name // len(_FIRST)]}"
            + (f" of {index}" if index >= len(names) else "")
        )
        if rng.random() < 0.05:
            start, end = index, min(items, index + int(rng.integers(2, 7)))
            franchise[start:end], scene[start:end], number = number, scene[start], number + 1
            appeal[start:end] = 0.5 * appeal[start:end] + 0.5 * appeal[start]
    profile = scene % _PROFILES
    new_era = (profile % 2 == 1) ^ (rng.random(items) < 0.08)
    year = np.where(new_era, rng.integers(1990, 2024, items), rng.integers(1950, 1990, items))
    carries = rng.random((items, 3)) < (0.95, 0.7, 0.2)
    extra = rng.integers(0, len(GENRES), items)
    genres = []
    for index in range(items):
        pair = profile_genres[profile[index] // 2]
        chosen = {
            int(code)
            for code, carried in zip((*pair, extra[index]), carries[index], strict=True)
            if carried
        } or {int(pair[0])}
        genres.append("|".join(GENRES[code] for code in sorted(chosen)))
    item_id = 1000 + rng.permutation(3 * items)[:items]
    frame = pd.DataFrame({"item_id": item_id, "title": titles, "genres": genres, "year": year})
    return frame, scene, franchise, quality, appeal


def _draw_users(
    rng: np.random.Generator,
    *,
    users: int,
    scene: np.ndarray,
    franchise: np.ndarray,
    quality: np.ndarray,
    appeal: np.ndarray,
) -> tuple[pd.DataFrame, Truth]:
    """The user table and the whole truth."""
    scenes, franchises = _PROFILES * _TWINS, max(1, int(franchise.max()) + 1)
    kind = rng.choice(3, (_CIRCLES, scenes), p=(0.25, 0.25, 0.5))  # loves, loathes, ignores
    taste = np.asarray((1.4, -1.3, 0.0))[kind] + rng.normal(0.0, 0.25, kind.shape)
    mood = np.where(rng.random((len(CONTEXTS), _CIRCLES, scenes)) < 0.2, 1.2, -0.2)
    circle, second = rng.choice(_CIRCLES, (2, users), p=rng.dirichlet(np.full(_CIRCLES, 8.0)))
    mixing = 0.5 * rng.beta(1.0, 3.0, users)[:, None]
    liking = (
        (1 - mixing) * taste[circle]
        + mixing * taste[second]
        + rng.normal(0.0, 0.35, (users, scenes))
    )
    opening = np.asarray([scene[np.argmax(franchise == f)] for f in range(franchises)])
    fan = rng.random((users, franchises)) < 0.3 * expit(2.0 * liking[:, opening] - 1.0)
    share = rng.standard_gamma(rng.uniform(1.5, 6.0, (_CIRCLES, len(CONTEXTS)))[circle])
    share /= share.sum(axis=1, keepdims=True)

    female = rng.beta(1.5, 2.0, _CIRCLES)[circle]
    age = rng.normal(rng.uniform(14, 55, _CIRCLES)[circle], 9.0)
    age_band = np.asarray(AGE_BANDS, dtype=object)[np.digitize(age, (18, 25, 35, 50))]
    age_band[rng.random(users) < 0.02] = None
    people = pd.DataFrame(
        {
            "user_id": 1 + rng.permutation(users),
            "gender": np.asarray(GENDERS)[(rng.random(users) >= female).astype(int)],
            "age_band": age_band,
            "region": rng.choice(np.asarray(REGIONS), users, p=(0.3, 0.25, 0.2, 0.15, 0.1)),
        }
    )
    truth = Truth(
        quality=quality,
        appeal=appeal,
        scene=scene,
        franchise=franchise,
        circle=circle,
        bias=rng.normal(0.0, 0.4, users),
        spread=np.exp(rng.normal(0.0, 0.3, users)),
        liking=liking.astype(np.float32),
        mood=mood.astype(np.float32),
        fan=fan,
        share=share,
    )
    return people, truth


def _draw_choices(
    rng: np.random.Generator, *, truth: Truth
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, item and context of every event: an exponential race, so an item is picked once and
    contexts compete for it.
    """
    users, items = len(truth.circle), len(truth.scene)
    activity = np.minimum(12 + rng.lognormal(np.log(60.0), 1.0, users).astype(np.int64), items // 2)
    by_activity = np.argsort(activity, kind="stable")
    chunk = max(1, 2_000_000 // (items * len(CONTEXTS)))
    chosen = []
    for first in range(0, users, chunk):
        rows = by_activity[first : first + chunk]
        arrival = rng.standard_exponential(
            (len(rows), len(CONTEXTS), items), dtype=np.float32
        ) / truth.choice_weights(rows)
        context, arrival = arrival.argmin(axis=1), arrival.min(axis=1)
        most = int(activity[rows].max())
        front = np.argpartition(arrival, most - 1, axis=1)[:, :most]
        front = np.take_along_axis(
            front, np.argsort(np.take_along_axis(arrival, front, axis=1), axis=1), axis=1
        )
        row, place = np.nonzero(np.arange(most)[None, :] < activity[rows][:, None])
        item = front[row, place]
        chosen.append((rows[row], item, context[row, item]))
    user, item, context = (np.concatenate(part) for part in zip(*chosen, strict=True))
    return user, item, context


def _draw_times(
    rng: np.random.Generator,
    *,
    truth: Truth,
    user: np.ndarray,
    item: np.ndarray,
    context: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of the events in the order given by the returned permutation: sessions of one context
    and mostly one mood.
    """
    users = len(truth.circle)
    mood = rng.random((users, truth.liking.shape[1]))[user, truth.scene[item]] + 0.3 * rng.random(
        len(user)
    )
    together = rng.random((users, truth.fan.shape[1]))[user, np.maximum(truth.franchise[item], 0)]
    mood = np.where(truth.franchise[item] >= 0, together, mood)
    order = np.lexsort((mood, context, user))
    user, context = user[order], context[order]
    opens = rng.random(len(user)) < 1 / 14
    opens[0] = True
    opens[1:] |= (user[1:] != user[:-1]) | (context[1:] != context[:-1])
    session = np.cumsum(opens) - 1
    owner, kind = user[opens], context[opens]

    joined = np.floor(_WEEKS * rng.beta(1.0, 1.3, users)).astype(np.int64)
    stays = 1 + np.minimum(rng.geometric(0.25, users) - 1, _WEEKS - 1 - joined)
    week = joined[owner] + np.floor(rng.random(len(owner)) * stays[owner]).astype(np.int64)
    day = np.where(kind == 2, rng.integers(5, 7, len(owner)), rng.integers(0, 5, len(owner)))
    opens_at, lasts = np.asarray((8.0, 18.0, 9.0))[kind], np.asarray((10.0, 5.0, 13.0))[kind]
    hour = opens_at + lasts * rng.beta(
        np.asarray((2.0, 1.6, 2.0))[kind], np.asarray((1.6, 2.0, 1.5))[kind]
    )
    begins = (7 * week + day) * 86_400 + hour * 3_600
    gap = rng.exponential(np.where(rng.random(len(user)) < 0.8, 25.0, 240.0))
    elapsed = np.cumsum(np.where(opens, 0.0, gap))
    seconds = begins[session] + elapsed - elapsed[opens][session]
    return _START_SECONDS + seconds.astype(np.int64), order


_CONFIG = """\
# A complete configuration for the simulated log beside it. Everything here is public; docs/reference.md says what each line means.
[source]
name = "simulated movie ratings"
population = {population}              # the owner's public figure for the number of users
public = true                  # nobody is in this log, so its audit figures may be published
ledger = "simulated-movie-ratings.ledger.jsonl"
epsilon_cap = 20.0

[privacy]
events_per_user = {events_per_user}          # at most this many random events of each user are read
unit = "user_id"

[columns]
user_id   = {{ role = "user" }}
item_id   = {{ role = "item", catalogue = "items.csv" }}
rating    = {{ type = "ordinal", min = 1, max = 5, step = 1 }}
timestamp = {{ type = "datetime", unit = "s", zone = "UTC", min = "{start}", max = "{end}" }}

[users]
table = "users.csv"
gender   = {{ type = "categorical", values = {genders} }}
age_band = {{ type = "categorical", values = {age_bands} }}
region   = {{ type = "categorical", values = {regions} }}

[items]
independent_of_log = true      # genres, year and title were not computed from the ratings
genres = {{ type = "set", separator = "|" }}
year   = {{ type = "numeric" }}
title  = {{ type = "text" }}

[events]
repeats = false
"""
