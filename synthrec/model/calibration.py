"""Calibration: synthetic users must give the answers that the real ones gave.

Indirect inference (Gourieroux, Monfort and Renault 1993): draw synthetic users, ask them what the
log was asked (popularity, ratings, tastes), and move the generator until the answers agree with the
paid measurements. It undoes what the estimators do to tastes (ridge, clipping, picking what one
likes) and what the game did to the margins. Post-processing: no data, no cost.
"""

from __future__ import annotations

import numpy as np
import torch

from synthrec.data.eventlog import EventLog
from synthrec.model.attribute_effects import EffectFrame
from synthrec.model.generator import (
    Conditions,
    Generator,
    Shares,
    draw_conditions,
)
from synthrec.model.item_choice import Behaviour, ItemTables, cut, pick, rate
from synthrec.model.measurements import Estimates
from synthrec.model.statistic import Effort
from synthrec.model.tastes import taste_vectors

ROUNDS, PLAIN_ROUNDS = 12, 6
# Chosen on the public logs' split seeds 100 to 105 and on simulated worlds (benchmarks/notes.md):
# of the variance of slopes, after the plain rounds: they stand for tastes that no feature says, too
EMPHASIS = 1.4
# of the variance of users' means as the plain rounds left it: bounded users are shorter than real
# ones
MEANS = 0.97
# of a ratio of variances: a little over 1/2, since the estimators shrink more than they should
GAIN_POWER = 0.6
PULLS = (
    0.5,
    3.0,
)  # of the differences of groups: ridge and clipping make them look smaller than they are
MIN_DIFFERENCE = 1e-5  # squared, of short tastes: below, groups are taken as they come
CELLS = 20_000_000  # users times items of a popularity round
BLOCK = 2_000_000  # users times items held at once
MIN_RATING_NOISE = 0.3  # in quarters of the scale


def calibrate(
    generator: Generator,
    *,
    estimates: Estimates,
    tables: ItemTables,
    rng: np.random.Generator,
    users: int = Effort.calibration_users,
) -> ItemTables:
    """Set the generator's gain in place and return the tables that go with it."""
    conditions = draw(estimates, users=users, rng=rng)
    latent = rng.standard_normal((users, len(generator.scale)))
    pull, apart = np.ones(2), np.nan
    for done in range(ROUNDS):
        set_groups(generator, estimates=estimates, pull=pull)
        behaviour = behave(generator, latent, conditions=conditions, estimates=estimates)
        tables = tables.with_(
            log_weight=_popular(behaviour, conditions, tables=tables, estimates=estimates)
        )
        log, tables = _rated(behaviour, conditions, tables=tables, estimates=estimates, rng=rng)
        if estimates.taste_variance is not None:
            spread = _spread_of_means(log)
            _match_tastes(
                generator,
                log,
                estimates=estimates,
                emphasis=1.0 if done < PLAIN_ROUNDS else EMPHASIS,
                bias=1.0 if done <= PLAIN_ROUNDS else MEANS * apart / max(spread, 1e-12),
            )
            apart = spread if done == PLAIN_ROUNDS else apart
        if estimates.groups is not None:
            pull = np.clip(pull * _short_of_groups(log, conditions, estimates=estimates), *PULLS)
    return tables


def draw(estimates: Estimates, *, users: int, rng: np.random.Generator) -> Conditions:
    """Conditions from the measured shares."""
    return draw_conditions(
        users, shares=Shares.of(estimates), most=len(estimates.frame.item_mean), rng=rng
    )


def behave(
    generator: Generator, latent: np.ndarray, *, conditions: Conditions, estimates: Estimates
) -> Behaviour:
    """The behaviour of users with these latents and conditions."""
    vectors = conditions.vectors(estimates)
    device = generator.scale.device
    with torch.no_grad():
        rows = generator(
            torch.as_tensor(latent, dtype=torch.float32, device=device),
            torch.as_tensor(vectors, dtype=torch.float32, device=device),
        )
    return Behaviour.split(rows.double().cpu().numpy())


def set_groups(generator: Generator, *, estimates: Estimates, pull: np.ndarray) -> None:
    """Give the generator the measured differences of groups, those of bias and of tilts each times
    its pull.
    """
    if estimates.groups is None:
        return
    effect = estimates.groups.effect(estimates.frame, sizes=estimates.sizes)
    effect[:1] *= pull[0]
    effect[1:] *= pull[1]
    generator.effect.copy_(torch.as_tensor(effect, dtype=generator.effect.dtype))


def starting_tables(estimates: Estimates) -> ItemTables:
    """Tables as measured, before any calibration."""
    frame = estimates.frame
    middle = (estimates.levels[1:] + estimates.levels[:-1]) / 2
    return ItemTables(
        features=frame.features,
        item_mean=frame.item_mean,
        log_weight=np.log(frame.popularity),
        levels=estimates.levels,
        cuts=middle,
        rating_noise=0.9 * frame.rating_unit,
    )


def _popular(
    behaviour: Behaviour, conditions: Conditions, *, tables: ItemTables, estimates: Estimates
) -> np.ndarray:
    """Weights under which each item is picked as often as measured: one round of proportional
    fitting.

    An item's chance to be among n picks without repeats is taken as 1 - exp(-c p) with c such that
    the chances sum to n.
    """
    items = len(tables.log_weight)
    users, step = min(len(conditions.events), max(50, CELLS // items)), max(1, BLOCK // items)
    features, log_weight = (
        tables.features.T.astype(np.float32),
        tables.log_weight.astype(np.float32),
    )
    picked = np.zeros(items)
    for first in range(0, users, step):
        part = slice(first, min(first + step, users))
        events = conditions.events[part, None].astype(np.float32)
        share = behaviour.tilt[part].astype(np.float32) @ features + log_weight
        share = np.exp(share - share.max(axis=1, keepdims=True))
        share /= share.sum(axis=1, keepdims=True)
        pace = events.copy()
        for _ in range(4):
            chance = -np.expm1(-pace * share)
            pace *= np.clip(events / chance.sum(axis=1, keepdims=True), 0.5, 3.0)
        picked += chance.sum(axis=0)
    picked /= picked.sum()
    weight = tables.log_weight + np.log(estimates.frame.popularity + 1e-12) - np.log(picked + 1e-12)
    return np.asarray(weight - weight.max())


def _rated(
    behaviour: Behaviour,
    conditions: Conditions,
    *,
    tables: ItemTables,
    estimates: Estimates,
    rng: np.random.Generator,
) -> tuple[EventLog, ItemTables]:
    """Events of the calibration users, and noise and cuts under which their ratings spread as
    measured.
    """
    user = np.repeat(np.arange(len(conditions.events)), conditions.events)
    item = pick(behaviour, conditions.events, tables=tables, rng=rng)
    offsets = np.concatenate(([0], np.cumsum(conditions.events)))
    if not tables.rated:
        return EventLog(offsets=offsets, item=item), tables
    raw = rate(behaviour, user, item, tables=tables, rng=rng)
    shares, levels = estimates.rating_shares, estimates.levels
    variance = shares @ levels**2 - (shares @ levels) ** 2
    least = (MIN_RATING_NOISE * estimates.frame.rating_unit) ** 2
    noise = np.sqrt(max(least, tables.rating_noise**2 + variance - raw.var()))
    tables = tables.with_(
        rating_noise=float(noise), cuts=np.quantile(raw, np.clip(np.cumsum(shares)[:-1], 0, 1))
    )
    return EventLog(offsets=offsets, item=item, rating=cut(raw, tables=tables)), tables


def _match_tastes(
    generator: Generator, log: EventLog, *, estimates: Estimates, emphasis: float, bias: float
) -> None:
    """Scale bias, slopes and tilts, one number each, towards the measured variance of each; slopes
    times their emphasis.

    With an emphasis, biases follow users' means instead (`bias`: by what factor the variance of
    those must grow), since wider slopes would drive them apart.
    """
    assert estimates.taste_variance is not None
    frame = estimates.frame
    variances = (
        np.concatenate([taste_vectors(block, frame=frame) for block in log.blocks()]) ** 2
    ).mean(axis=0)
    count = frame.features.shape[1]
    gain = generator.gain.double().cpu().numpy()
    parts = (slice(0, 1), slice(1, count + 1), slice(count + 1, None))
    short = [
        wanted / max(variances[part].sum(), 1e-12)
        for part, wanted in zip(parts, estimates.taste_variance, strict=True)
    ]
    for part, factor in zip(
        parts, (short[0] if emphasis == 1.0 else bias, short[1] * emphasis, short[2]), strict=True
    ):
        gain[part] *= np.clip(factor, 0.5, 2.0) ** GAIN_POWER
    generator.gain.copy_(torch.as_tensor(np.clip(gain, 0.1, 6.0), dtype=generator.gain.dtype))


def _spread_of_means(log: EventLog) -> float:
    """Variance over users of their mean rating; 1 where nobody rates."""
    if log.rating is None:
        return 1.0
    events = log.activity
    return float(
        (np.bincount(log.user_of_event(), np.asarray(log.rating, dtype=np.float64)) / events).var()
    )


def _short_of_groups(log: EventLog, conditions: Conditions, *, estimates: Estimates) -> np.ndarray:
    """By what factor synthetic groups differ too little, in bias and in tilts, where the same
    question is put to them.
    """
    assert estimates.groups is not None
    short = EffectFrame.of(estimates.frame, names=estimates.feature_names)
    tastes = np.concatenate([short.vectors(block) for block in log.blocks()])
    wanted = estimates.groups.of_users(conditions.attributes)
    parts = (slice(0, 1), slice(1, None))
    wide, seen = (
        np.array([(wanted[:, part] * rows[:, part]).sum() for part in parts])
        for rows in (wanted, tastes)
    )
    return np.where(
        wide > MIN_DIFFERENCE * len(tastes),
        np.clip(wide / np.maximum(seen, 0.5 * wide + 1e-12), 0.5, 2.0) ** GAIN_POWER,
        1.0,
    )
