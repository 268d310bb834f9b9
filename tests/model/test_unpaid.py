"""Nothing passes from the log to what is released but through a paid sum or a noised step: replay
finds any other path.

All answers are frozen (sums and critic steps reply what they replied before, batches are real), so
a training on the log and one on the log without a user must release the same arrays to the last
bit. Teeth: unpaid paths are opened on purpose.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import torch

from synthrec.conformance.answers import CHARGE, QUICK, FrozenNoise
from synthrec.conformance.replay import (
    RecordingProgress,
    Released,
    differences,
    recorded_critic,
)
from synthrec.conformance.subject import Subject
from synthrec.data.catalogue import Catalogue
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema
from synthrec.model import adversarial, dp_sgd
from synthrec.model import train as training
from synthrec.model.dp_sgd import PrivateCritic
from synthrec.model.train import Means
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.session import Session
from tests.model.small import (
    STEPS,
    USERS,
    Replies,
    make_log,
    make_plan,
    prepared,
    quick,
    subject_of,
    trained,
    without,
)

Source = tuple[Schema, Catalogue]


def released(subject: Subject, log: EventLog, *, replies: Replies) -> Released:
    """Every byte, name, constant and line that a training on this bounded log would let out, all
    answers frozen.
    """
    heard, constants = RecordingProgress(), list[Any]()
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        folder, path = Path(scratch) / "share", Path(scratch) / "ledger.jsonl"
        folder.mkdir()
        with Ledger.open(path) as ledger:
            artifact = training.train(
                log,
                catalogue=subject.catalogue,
                schema=subject.schema,
                progress=heard,
                session=Session(
                    subject.plan, ledger=ledger, charge=CHARGE, noise=FrozenNoise(replies=replies)
                ),
                means=Means(effort=QUICK, critic=recorded_critic(constants), seed=0),
            )
        artifact.save(folder)
        files = {file.name: file.read_bytes() for file in sorted(folder.rglob("*"))}
        return files | {
            "ledger": str(ledger.entries).encode(),
            "lines": "\n".join(heard.lines).encode(),
            "constants": str(constants).encode(),
        }


def differs(source: Source) -> list[str]:
    """What differs between a release from the log, from it without its last user (alone with an
    item), and from half of it.
    """
    replies, log, subject = Replies(), make_log(), subject_of(*source)
    parts = (log, without(log, USERS - 1), log.select(np.arange(USERS // 2)))
    whole, *others = (released(subject, part, replies=replies) for part in parts)
    return [name for other in others for name in differences(whole, other)]


def test_with_all_answers_frozen_a_release_is_the_same_with_and_without_a_user(
    source: Source,
) -> None:
    assert differs(source) == []


HONEST_MEASURE, HONEST_PLAY, HONEST_POOL = (
    training.measure,
    training.train_gan,
    adversarial.pool_log,
)


def vocabulary_from_data(log: EventLog, **options: Any) -> Any:
    """A saboteur: only items that somebody picked are known."""
    found = HONEST_MEASURE(log, **options)
    seen = np.isin(np.arange(len(found.frame.popularity)), log.item)
    popularity = np.where(seen, found.frame.popularity, 1e-9)
    return found.adding({"frame.popularity": popularity / popularity.sum()})


def activity_from_data(log: EventLog, **options: Any) -> Any:
    """A saboteur: the true histogram of events per user."""
    found = HONEST_MEASURE(log, **options)
    counts = np.histogram(log.activity, bins=found.activity_edges)[0]
    return found.adding({"estimates.activity": counts / counts.sum()})


def groups_from_data(log: EventLog, **options: Any) -> Any:
    """A saboteur: groups differ as those in the log do."""
    found = HONEST_MEASURE(log, **options)
    share = np.bincount(np.asarray(log.attributes["gender"]), minlength=3)[:, None] / len(
        log.offsets
    )
    index = list(found.groups.values).index("gender")
    return found.adding({f"group.{index}": found.groups.values["gender"] * share})


def started_from_data(generator: Any, log: EventLog, **options: Any) -> Any:
    """A saboteur: one weight knows the number of users."""
    found = HONEST_PLAY(generator, log, **options)
    with torch.no_grad():
        found.residual[0].bias[0] += 1e-3 * len(log.offsets)
    return found


def scaled_by_data(log: EventLog, **options: Any) -> Any:
    """A saboteur: standardises the critic's inputs by the real users, and tells the fakes."""
    pooled = HONEST_POOL(log, **options)
    adversarial.FARTHEST = float(np.abs(pooled[:, 0]).mean())
    return pooled


HONEST_STEP, HONEST_GENERATOR_STEP, HONEST_AVERAGE = (
    PrivateCritic.step,
    adversarial._generator_step,
    adversarial._average,
)
LAST: dict[str, torch.Tensor] = {}


def remembering(self: PrivateCritic, real: torch.Tensor, fake: torch.Tensor) -> None:
    LAST["real"] = real
    HONEST_STEP(self, real, fake)


def matching(generator: Any, critic: Any, fakes: Any, optimizer: Any, *, training: Any) -> None:
    """A saboteur: feature matching, which pulls synthetic users to the mean of the real batch."""
    HONEST_GENERATOR_STEP(generator, critic, fakes, optimizer, training=training)
    pooled, _ = fakes.batch(training.fakes_per_step)
    optimizer.zero_grad()
    (pooled.mean(dim=0) - LAST["real"].mean(dim=0).nan_to_num()).square().sum().backward()
    optimizer.step()


def matched_features(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PrivateCritic, "step", remembering)
    patch.setattr(adversarial, "_generator_step", matching)


def best_on_real_loss(patch: pytest.MonkeyPatch) -> None:
    """A saboteur: of the generators of all steps, those count most at which the critic's loss on
    the real batch was largest. (The best step alone may be the last one with and without a user.)
    """
    losses: list[float] = []

    def judged(self: PrivateCritic, real: torch.Tensor, fake: torch.Tensor) -> None:
        HONEST_STEP(self, real, fake)
        losses.append(
            float(torch.nn.functional.softplus(-self.score(real)).mean().nan_to_num().detach())
        )

    def best(average: Any, generator: Any) -> None:
        with torch.no_grad():
            for mean, now in zip(average.parameters(), generator.parameters(), strict=True):
                mean.lerp_(now, losses[-1] / (1 + losses[-1]))

    patch.setattr(PrivateCritic, "step", judged)
    patch.setattr(adversarial, "_average", best)


@pytest.mark.parametrize("sabotage", [matched_features, best_on_real_loss])
def test_a_generator_that_sees_a_real_batch_is_caught(
    sabotage: Any, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    assert "generator.safetensors" in differs(source)


@pytest.mark.parametrize(
    ("module", "name", "saboteur"),
    [
        (training, "measure", vocabulary_from_data),
        (training, "measure", activity_from_data),
        (training, "measure", groups_from_data),
        (training, "train_gan", started_from_data),
        (adversarial, "pool_log", scaled_by_data),
    ],
)
def test_an_unpaid_path_is_caught(
    module: Any, name: str, saboteur: Any, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adversarial, "FARTHEST", adversarial.FARTHEST)
    monkeypatch.setattr(module, name, saboteur)
    assert differs(source)


def test_one_user_more_changes_no_constant_of_the_game(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    honest = dp_sgd.PrivateCritic.step

    def watched(self: Any, real: torch.Tensor, fake: torch.Tensor) -> None:
        seen.append(
            (
                len(fake),
                self._optimizer.expected_batch_size,
                self._optimizer.max_grad_norm,
                self._optimizer.noise_multiplier,
                self._optimizer.original_optimizer.param_groups[0]["lr"],
            )
        )
        honest(self, real, fake)

    monkeypatch.setattr(dp_sgd.PrivateCritic, "step", watched)
    quick(monkeypatch)
    runs = []
    for place, users in enumerate((USERS, USERS + 1, 1)):
        (tmp_path / str(place)).mkdir()
        seen.clear()
        trained(make_log(users=users), tmp_path / str(place))
        runs.append(list(seen))
    assert runs[0] == runs[1] == runs[2] and len(runs[0]) == STEPS
    (tmp_path / "plan").mkdir()
    schema, _ = prepared(tmp_path / "plan")
    plan = make_plan(schema).training
    assert plan is not None
    assert runs[0][0] == (
        plan.fakes_per_step,
        plan.expected_batch_size,
        plan.clip_norm,
        plan.noise_multiplier,
        plan.critic_rate,
    )


def test_the_generators_step_sees_scores_of_fakes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real rows enter PrivateCritic.step and nothing else: rows marked by their values are looked
    for in everything scored.
    """
    quick(monkeypatch)
    pooled: list[np.ndarray] = []
    scored: list[torch.Tensor] = []
    honest_score = dp_sgd.PrivateCritic.score

    def pool(log: EventLog, **options: Any) -> np.ndarray:
        pooled.append(HONEST_POOL(log, **options))
        pooled[-1][:, 0] = 0.12345
        return pooled[-1]

    def score(self: Any, users: torch.Tensor) -> torch.Tensor:
        scored.append(users.detach().clone())
        return honest_score(self, users)

    monkeypatch.setattr(adversarial, "pool_log", pool)
    monkeypatch.setattr(dp_sgd.PrivateCritic, "score", score)
    trained(make_log(), tmp_path)
    assert len(pooled) == 1 and len(scored) == STEPS // 2
    assert all(len(rows) == 16 and len(rows[:, 0].unique()) > 1 for rows in scored)
