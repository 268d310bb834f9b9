"""Has the game collapsed or diverged? A rule fixed beforehand, on the generator alone; if so, it is
set aside.

The generator that comes out of the game is compared with the anchor that went in, on the same
latents and conditions. It is set aside, and the anchor used instead, if

- a weight or a user's behaviour is not finite;
- the mean taste has drifted: the square of the way is more than MOST_DRIFT of the anchor's whole
  variance;
- the whole variance of tastes is below LEAST_SPREAD or above MOST_SPREAD of the anchor's;
- tastes vary in fewer than LEAST_DIRECTIONS of the anchor's directions in effect (exp of the
  entropy of the covariance's spectrum).

Guarantees: sees weights, measured shares and synthetic users only, all released or post-processing
of what was paid for; so the choice costs nothing and may be told (the rule "fixed steps" forbids
choices on real data, of which there are none here).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from synthrec.model.calibration import draw
from synthrec.model.generator import Generator
from synthrec.model.measurements import Estimates
from synthrec.model.statistic import Effort
from synthrec.progress import Progress

MAX_DRIFT, MIN_SPREAD, MAX_SPREAD, MIN_DIRECTIONS = 0.25, 0.5, 2.0, 0.5


@dataclass(frozen=True)
class Watched:
    """The generator to go on with, and what became of the game."""

    generator: Generator
    game: str  # "kept", or "set aside: " and why


def watch(
    played: Generator,
    *,
    anchor: Generator,
    estimates: Estimates,
    rng: np.random.Generator,
    progress: Progress,
    users: int = Effort.watch_users,
) -> Watched:
    """The generator that the game made, or the anchor if the rule says so."""
    reason = trouble(played, anchor=anchor, estimates=estimates, rng=rng, users=users)
    if reason is None:
        return Watched(generator=played, game="kept")
    progress.say(
        f"The game is set aside: {reason}. The generator made from the measurements alone goes on."
    )
    return Watched(generator=anchor, game=f"set aside: {reason}")


def trouble(
    played: Generator,
    *,
    anchor: Generator,
    estimates: Estimates,
    rng: np.random.Generator,
    users: int = Effort.watch_users,
) -> str | None:
    """What is wrong with a generator beside its anchor, in words; None when nothing is."""
    if not all(bool(torch.isfinite(weight).all()) for weight in played.parameters()):
        return "its weights are not finite"
    conditions = draw(estimates, users=users, rng=rng)
    vectors = estimates.condition_vectors(conditions)
    latent = rng.standard_normal((users, len(anchor.scale)))
    found, expected = (_tastes(each, latent, vectors) for each in (played, anchor))
    if not np.isfinite(found).all():
        return "tastes are not finite"
    whole = max(float(expected.var(axis=0).sum()), 1e-12)
    drift = float(((found - expected).mean(axis=0) ** 2).sum()) / whole
    if drift > MAX_DRIFT:
        return f"tastes drifted: {drift:.2g} of their variance, more than {MAX_DRIFT:g}"
    spread = float(found.var(axis=0).sum()) / whole
    if not MIN_SPREAD <= spread <= MAX_SPREAD:
        return f"tastes vary {spread:.2g} times as much as measured, outside {MIN_SPREAD:g} to {MAX_SPREAD:g}"
    directions = _directions(found) / _directions(expected)
    if directions < MIN_DIRECTIONS:
        return f"tastes vary in {directions:.0%} of the directions measured, less than {MIN_DIRECTIONS:.0%}"
    return None


def _tastes(generator: Generator, latent: np.ndarray, conditions: np.ndarray) -> np.ndarray:
    device = generator.scale.device
    with torch.no_grad():
        rows = generator.stacked(
            torch.as_tensor(latent, dtype=torch.float32, device=device),
            torch.as_tensor(conditions, dtype=torch.float32, device=device),
        )
    return np.asarray(rows.double().cpu().numpy())


def _directions(tastes: np.ndarray) -> float:
    values = np.maximum(np.linalg.eigvalsh(np.atleast_2d(np.cov(tastes.T))), 1e-15)
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
