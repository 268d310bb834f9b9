"""One training: measure, anchor, train the GAN, check it for collapse, calibrate.

The generator that comes out of the game is compared with the anchor that went in, on the same
latents and conditions. It is set aside, and the anchor used instead, if

- a weight or a user's behaviour is not finite;
- the mean taste has drifted: the square of the way is more than MAX_DRIFT of the anchor's whole
  variance;
- the whole variance of tastes is below MIN_SPREAD or above MAX_SPREAD of the anchor's;
- tastes vary in fewer than MIN_DIRECTIONS of the anchor's directions in effect (exp of the entropy
  of the covariance's spectrum).

Guarantees: the bounded log is seen by `measure` and `train_gan` only, which ask it through the
session; all else is post-processing. The rule is fixed beforehand and sees weights, measured shares
and synthetic users only, so the choice costs nothing and may be told (the rule "fixed steps"
forbids choices on real data, of which there are none here).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.errors import ReleaseError
from synthrec.model.adversarial import train_gan
from synthrec.model.artifact import Artifact, filterable
from synthrec.model.calibration import calibrate, draw, starting_tables
from synthrec.model.checkpoint import require_alike
from synthrec.model.dp_sgd import PrivateCritic
from synthrec.model.event_types import first_interactions
from synthrec.model.format import HIDDEN
from synthrec.model.generator import Generator, seeded_init
from synthrec.model.item_choice import ItemTables
from synthrec.model.measurements import Estimates, measure
from synthrec.model.statistic import Effort, part
from synthrec.privacy.session import Session
from synthrec.progress import Progress

TABLES = ("features", "item_mean", "log_weight", "levels", "cuts")


MAX_DRIFT, MIN_SPREAD, MAX_SPREAD, MIN_DIRECTIONS = 0.25, 0.5, 2.0, 0.5


@dataclass(frozen=True)
class Means:
    """With what a training is made, beside its session; checks of the mechanism bring their own.

    `seed`: of initialisation and synthetic users, never of noise (rule: system noise).
    """

    effort: Effort = Effort()
    critic: type[PrivateCritic] = PrivateCritic
    device: str = "cpu"
    seed: int | None = None


def train(
    log: EventLog,
    *,
    catalogue: Catalogue,
    schema: Schema,
    session: Session,
    progress: Progress,
    means: Means | None = None,
) -> Artifact:
    """A generator of users like those of a bounded log; kept as it goes and continued from where it
    died, where the session does so.
    """
    means = means or Means()
    effort, rng = means.effort, np.random.default_rng(means.seed)
    estimates = measure(
        log, catalogue=catalogue, schema=schema, session=session, progress=progress, effort=effort
    )
    generator = anchored(estimates, rng=rng).to(means.device)
    with progress.stage("calibrate", total=1) as advance:
        tables = calibrate(
            generator,
            estimates=estimates,
            tables=starting_tables(estimates),
            rng=rng,
            users=effort.calibration_users,
        )
        tables = same_start(generator, tables, session=session)
        advance(1)
    game = None
    if session.plan.training is not None:
        anchor = copy.deepcopy(generator)
        with one_thread():
            generator = train_gan(
                generator,
                first_interactions(log) if schema.several else log,
                estimates=estimates,
                tables=tables,
                session=session,
                rng=rng,
                progress=progress,
                effort=effort,
                critic=means.critic,
            )
        outcome = check_collapse(
            generator,
            anchor=anchor,
            estimates=estimates,
            rng=rng,
            progress=progress,
            users=effort.watch_users,
        )
        generator, game = outcome.generator, outcome.game
        with progress.stage("calibrate again", total=1) as advance:
            tables = calibrate(
                generator,
                estimates=estimates,
                tables=tables,
                rng=rng,
                users=effort.calibration_users,
            )
            advance(1)
    return Artifact(
        schema=schema.shared(),
        plan=session.plan,
        catalogue=filterable(catalogue, schema),
        estimates=estimates,
        tables=tables,
        generator=generator.cpu(),
        game=game,
    )


def same_start(generator: Generator, tables: ItemTables, *, session: Session) -> ItemTables:
    """The start that was kept, put into the generator; a new training's is kept. Raises
    ReleaseError for another's.
    """
    now = {
        **{f"generator.{name}": array for name, array in generator.arrays().items()},
        **{f"tables.{name}": getattr(tables, name) for name in TABLES},
        "tables.rating_noise": np.array([tables.rating_noise]),
    }
    before = session.recall("start")
    if before is None:
        session.keep("start", now)
        return tables
    try:
        require_alike(before, now)
        if not np.allclose(before["tables.features"], tables.features, rtol=1e-4, atol=1e-6):
            raise ValueError
        generator.restore(part(before, "generator."))
        return replace(
            tables,
            rating_noise=float(before["tables.rating_noise"][0]),
            **{name: before[f"tables.{name}"] for name in TABLES},
        )
    except (LookupError, ValueError, RuntimeError, TypeError):
        raise ReleaseError(
            "a training is continued on the machine and with the software that began it",
            found="other item features",
            remedy="Start a new one; what this one was charged is spent.",
        ) from None


@contextmanager
def one_thread() -> Iterator[None]:
    """The game's tensors are small: a second thread waits more than it works, and on a busy machine
    far more.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def anchored(estimates: Estimates, *, rng: np.random.Generator) -> Generator:
    """A generator whose users have the measured second moment of tastes; without one, no tastes at
    all.
    """
    frame = estimates.frame
    factor = np.zeros((frame.size, frame.size))
    if estimates.moment is not None:
        values, vectors = np.linalg.eigh(estimates.moment)
        factor = vectors * np.sqrt(np.maximum(values, 0))
    with seeded_init(rng):
        return Generator(
            factor=torch.as_tensor(factor, dtype=torch.float32),
            scale=torch.as_tensor(frame.scale, dtype=torch.float32),
            conditions=estimates.conditions,
            hidden=HIDDEN,
        )


@dataclass(frozen=True)
class GanOutcome:
    """The generator to go on with, and what became of the game."""

    generator: Generator
    game: str  # "kept", or "set aside: " and why


def check_collapse(
    trained: Generator,
    *,
    anchor: Generator,
    estimates: Estimates,
    rng: np.random.Generator,
    progress: Progress,
    users: int = Effort.watch_users,
) -> GanOutcome:
    """The generator that the game made, or the anchor if the rule says so."""
    reason = failure_reason(trained, anchor=anchor, estimates=estimates, rng=rng, users=users)
    if reason is None:
        return GanOutcome(generator=trained, game="kept")
    progress.say(
        f"The game is set aside: {reason}. The generator made from the measurements alone goes on."
    )
    return GanOutcome(generator=anchor, game=f"set aside: {reason}")


def failure_reason(
    trained: Generator,
    *,
    anchor: Generator,
    estimates: Estimates,
    rng: np.random.Generator,
    users: int = Effort.watch_users,
) -> str | None:
    """What is wrong with a generator beside its anchor, in words; None when nothing is."""
    if not all(bool(torch.isfinite(weight).all()) for weight in trained.parameters()):
        return "its weights are not finite"
    conditions = draw(estimates, users=users, rng=rng)
    vectors = conditions.vectors(estimates)
    latent = rng.standard_normal((users, len(anchor.scale)))
    tastes, expected = (_tastes(each, latent, vectors) for each in (trained, anchor))
    if not np.isfinite(tastes).all():
        return "tastes are not finite"
    whole = max(float(expected.var(axis=0).sum()), 1e-12)
    drift = float(((tastes - expected).mean(axis=0) ** 2).sum()) / whole
    if drift > MAX_DRIFT:
        return f"tastes drifted: {drift:.2g} of their variance, more than {MAX_DRIFT:g}"
    spread = float(tastes.var(axis=0).sum()) / whole
    if not MIN_SPREAD <= spread <= MAX_SPREAD:
        return f"tastes vary {spread:.2g} times as much as measured, outside {MIN_SPREAD:g} to {MAX_SPREAD:g}"
    directions = _directions(tastes) / _directions(expected)
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
