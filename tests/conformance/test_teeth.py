"""Seeded bugs, each on the installed code: the check that is named for it says so, by a number and
not by a crash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthrec import pipeline, training
from synthrec.conformance import replay as replaying
from synthrec.conformance import suite
from synthrec.conformance.noise import drawn_once, noise_of_processes, noise_of_sums
from synthrec.conformance.record import Check
from synthrec.conformance.sensitivity import ROUNDING, critic_checks, heavy_move
from synthrec.conformance.sensitivity import sensitivity as all_sensitivity
from synthrec.conformance.statistics import correlation
from synthrec.conformance.subject import Subject, simulated
from synthrec.conformance.training import sampling, watch
from synthrec.model import measurements
from synthrec.model import train as one_training
from synthrec.model.dp_sgd import PrivateCritic, UserOptimizer
from synthrec.pipeline import simulated_release
from synthrec.privacy import mechanisms, session
from synthrec.privacy.ledger import Entry, Ledger
from synthrec.privacy.mechanisms import SystemNoise, poisson_batches, system_normal
from synthrec.privacy.session import Session
from tests.model import test_unpaid

Patch = pytest.MonkeyPatch
KINDS = ("a third of all users", "a user: unique item")


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return simulated(tmp_path_factory.mktemp("simulated"))


def failed(checks: Sequence[Check]) -> set[str]:
    return {f"{check.topic}: {check.name}" for check in checks if not check.passed}


def with_steps(subject: Subject, steps: int) -> Subject:
    """The same plan with a shorter game, or with none: what a seeded bug does, it does at once."""
    assert subject.plan.training is not None
    training = subject.plan.training.model_copy(update={"steps": steps}) if steps else None
    return replace(subject, plan=subject.plan.model_copy(update={"training": training}))


def game_checks(subject: Subject) -> list[Check]:
    """With as many steps as it takes to tell a scale from 0.95 of it."""
    return suite.game_checks(with_steps(subject, 64))


def replay(subject: Subject, **options: Any) -> list[Check]:
    """With one block of steps and the first one of another."""
    return replaying.replay(with_steps(subject, 26), **options)


def sensitivity(subject: Subject) -> list[Check]:
    """Of sums alone."""
    return all_sensitivity(with_steps(subject, 0))


# noise of training

ONCE = system_normal(200_000)


def half(size: int) -> np.ndarray:
    return system_normal(size) / 2


def reused(size: int) -> np.ndarray:
    return ONCE[:size]


def seeded(size: int) -> np.ndarray:
    return np.random.standard_normal(size)  # noqa: NPY002


@pytest.mark.parametrize(
    ("saboteur", "named"),
    [
        (
            np.zeros,
            {
                "noise: critic step",
                "noise: critic step, mostly empty batches",
                "canaries: lower bound on training's epsilon",
            },
        ),
        (half, {"noise: critic step", "noise: critic step, mostly empty batches"}),
        (reused, {"noise: critic steps are fresh"}),
        (seeded, {"noise: seeds repeat nothing"}),
    ],
)
def test_noise_of_training_that_is_absent_halved_reused_or_seeded_is_caught(
    saboteur: Callable[[int], np.ndarray], named: set[str], subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(mechanisms, "system_normal", lambda size, **_: saboteur(size))
    assert named <= failed(game_checks(subject))


def test_a_seed_that_is_built_in_is_caught() -> None:
    assert failed(noise_of_processes()) == set()
    prelude = (
        "import numpy; from synthrec.privacy import mechanisms; "
        "mechanisms.system_normal = lambda size, **_: numpy.random.default_rng(0).standard_normal(size)"
    )
    assert failed(noise_of_processes(prelude=prelude)) == {
        "noise: noise of training of another process"
    }


# noise of measurements


def reused_sum(self: SystemNoise, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
    return total + scale * ONCE[: len(total)]


HONEST_NOISE = SystemNoise.lattice


@pytest.mark.parametrize(
    ("saboteur", "suffix"),
    [
        (lambda self, name, total, *, scale: total.astype(float), ""),
        (lambda self, name, total, *, scale: HONEST_NOISE(self, name, total, scale=scale / 2), ""),
        (reused_sum, " is fresh"),
    ],
)
def test_noise_of_a_measurement_that_is_absent_halved_or_reused_is_caught_in_each(
    saboteur: Any, suffix: str, subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(SystemNoise, "lattice", saboteur)
    found = failed(noise_of_sums(subject, log=subject.read(subject.events)))
    assert {f"noise: {each.name}{suffix}" for each in subject.plan.measurements} <= found


# clipping, denominators, fakes

HONEST_CLIP = UserOptimizer.clip_and_accumulate


def loosely(self: UserOptimizer) -> None:
    self.max_grad_norm *= 1.1
    HONEST_CLIP(self)
    self.max_grad_norm /= 1.1


def by_real_batch(self: UserOptimizer) -> None:
    for parameter in self.params:
        parameter.grad /= max(1, len(parameter.grad_sample))


def by_clip_factors(self: PrivateCritic, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
    rows = torch.cat([rows.flatten(start_dim=1) for rows in self._optimizer.grad_samples], dim=1)
    factor = (
        (self._optimizer.max_grad_norm / rows.norm(dim=1)).clamp(max=1.0).mean()
        if len(rows)
        else 1.0
    )
    return tuple(gradient * factor for gradient in HONEST_FAKES(self, fake))


HONEST_FAKES = PrivateCritic._fake_gradients


@pytest.mark.parametrize(
    ("owner", "name", "saboteur", "named"),
    [
        (UserOptimizer, "clip_and_accumulate", loosely, "sensitivity: critic step, weights x100"),
        (UserOptimizer, "scale_grad", by_real_batch, "sensitivity: critic step, denominator"),
        (PrivateCritic, "_fake_gradients", by_clip_factors, "sensitivity: critic step, fakes"),
    ],
)
def test_a_critic_step_that_breaks_a_rule_is_caught(
    owner: Any, name: str, saboteur: Any, named: str, subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(owner, name, saboteur)
    assert named in failed(critic_checks(subject))


def test_an_honest_critic_step_passes(subject: Subject) -> None:
    assert failed(critic_checks(subject)) == set()


def test_clipping_per_event_is_caught(subject: Subject, monkeypatch: Patch) -> None:
    monkeypatch.setattr(
        "synthrec.conformance.sensitivity.heavy_move", partial(heavy_move, per_event=True)
    )
    assert "sensitivity: critic step, 10,000 events" in failed(critic_checks(subject))


def per_event(block: Any, *, norm: float) -> np.ndarray:
    """Clips each event (cell) of a user, not the user."""
    rows = np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=np.float64)
    clipped = np.clip(np.nan_to_num(rows, posinf=0, neginf=0), -norm, norm)
    return np.trunc(clipped * (mechanisms.LATTICE / norm)).astype(np.int64).sum(axis=0)


def test_a_sum_that_is_clipped_per_event_or_looser_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest = session.lattice_sum
    for saboteur in (
        per_event,
        lambda block, *, norm: (1.1 * honest(block, norm=1.1 * norm)).astype(np.int64),
    ):
        monkeypatch.setattr(session, "lattice_sum", saboteur)
        found = failed(sensitivity(subject))
        assert {"sensitivity: items", "sensitivity: ratings"} <= found


def test_what_rounding_is_allowed_is_far_from_what_a_loose_clip_adds() -> None:
    assert ROUNDING <= 0.01 and correlation(ONCE[:9], ONCE[:9]) == pytest.approx(1)


# sampling


def shuffled(
    users: int, *, sampling_rate: float, steps: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    parts = max(1, round(1 / sampling_rate))
    for step in range(steps):
        if step % parts == 0:
            order = rng.permutation(users)
        yield np.sort(order[step % parts :: parts])


def off_by_a_tenth(users: int, *, sampling_rate: float, **options: Any) -> Iterator[np.ndarray]:
    return poisson_batches(users, sampling_rate=1.1 * sampling_rate, **options)


def without_empty_batches(users: int, **options: Any) -> Iterator[np.ndarray]:
    for batch in poisson_batches(users, **options):
        yield batch if len(batch) else np.zeros(1, dtype=np.int64)


@pytest.mark.parametrize(
    ("saboteur", "named"),
    [
        (
            shuffled,
            {
                "sampling: sampler: batch sizes",
                "sampling: sampler: inclusions of a user",
                "sampling: training: inclusions of a user",
            },
        ),
        (off_by_a_tenth, {"sampling: sampler: rate", "sampling: training: rate"}),
        (without_empty_batches, {"sampling: empty batches count"}),
    ],
)
def test_another_sampler_is_caught(
    saboteur: Any, named: set[str], subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(mechanisms, "poisson_batches", saboteur)
    brief = with_steps(subject, 64)
    crowd, few = watch(brief), watch(brief, users=suite.FEW, canaries=False)
    assert brief.plan.training is not None
    assert named <= failed(sampling(brief.plan.training, crowd=crowd, few=few))


# accounting


def test_a_ledger_that_misses_a_block_or_is_charged_afterwards_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest = Ledger.charge

    def forgetful(self: Ledger, entry: Entry) -> Entry:
        blocks = sum(each.mechanism == "game" for each in self.entries)
        return entry if entry.mechanism == "game" and blocks == 2 else honest(self, entry)

    monkeypatch.setattr(Ledger, "charge", forgetful)
    assert {
        "accounting: ledger is whole, many users",
        "accounting: paid ahead, many users",
    } <= failed(game_checks(subject))


# what comes from the data unpaid


@pytest.mark.parametrize(
    ("module", "name", "saboteur", "kind"),
    [
        (one_training, "measure", test_unpaid.vocabulary_from_data, KINDS[1]),
        (one_training, "measure", test_unpaid.activity_from_data, KINDS[0]),
        (one_training, "measure", test_unpaid.groups_from_data, KINDS[0]),
        (one_training, "train_gan", test_unpaid.started_from_data, KINDS[0]),
    ],
)
def test_vocabulary_activity_or_condition_frequencies_from_data_are_caught(
    module: Any, name: str, saboteur: Any, kind: str, subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(module, name, saboteur)
    assert f"replay: without {kind}" in failed(
        replay(subject, release=simulated_release, kinds=(kind,))
    )


def conditions_from_data(log: Any, **options: Any) -> Any:
    """The shares of attributes, unnoised."""
    found = test_unpaid.HONEST_MEASURE(log, **options)
    return found.adding(
        {
            f"attribute.{index}": np.bincount(codes, minlength=size + 1) / len(codes)
            for index, (name, size) in enumerate(found.sizes.items())
            for codes in (log.attributes[name],)
        }
    )


def test_condition_frequencies_from_data_are_caught(subject: Subject, monkeypatch: Patch) -> None:
    monkeypatch.setattr(one_training, "measure", conditions_from_data)
    assert f"replay: without {KINDS[0]}" in failed(
        replay(subject, release=simulated_release, kinds=KINDS[:1])
    )


def test_a_split_by_count_is_caught(subject: Subject, monkeypatch: Patch) -> None:
    def by_count(ids: Sequence[str], *, key: bytes, audit_share: float) -> np.ndarray:
        return (np.arange(len(ids)) >= round((1 - audit_share) * len(ids))).astype(np.int8) * 2

    monkeypatch.setattr("synthrec.data.reader.role_of", by_count)
    found = replay(subject, release=simulated_release, kinds=KINDS[:1])
    assert failed(found) and "roles of others" in found[0].asked


def test_a_line_that_tells_a_count_is_caught(subject: Subject, monkeypatch: Patch) -> None:
    def talkative(log: Any, *, progress: Any, **options: Any) -> Any:
        progress.say(f"{log.users} users")
        return test_unpaid.HONEST_MEASURE(log, progress=progress, **options)

    monkeypatch.setattr(one_training, "measure", talkative)
    found = replay(subject, release=simulated_release, kinds=KINDS[:1])
    assert found[0].asked == "released things that differ: lines"


def test_a_measurement_that_leans_on_other_users_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest = measurements.activity_vectors

    def shares(log: Any, **options: Any) -> Any:
        rows = honest(log, **options)
        return rows / rows.shape[0]

    monkeypatch.setattr(measurements, "activity_vectors", shares)
    assert "sensitivity: activity" in failed(sensitivity(subject))


@pytest.mark.parametrize("sabotage", [test_unpaid.matched_features, test_unpaid.best_on_real_loss])
def test_feature_matching_and_the_best_step_on_real_loss_are_caught(
    sabotage: Any, subject: Subject, monkeypatch: Patch
) -> None:
    sabotage(monkeypatch)
    assert f"replay: without {KINDS[0]}" in failed(
        # with all steps: the best one of few may well be the last
        replaying.replay(subject, release=simulated_release, kinds=KINDS[:1])
    )


# what a release says and holds beside its generator


def test_a_realised_audit_share_in_the_record_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest, shares = training.read_log, list[float]()

    def reading(*words: Any, **options: Any) -> Any:
        log = honest(*words, **options)
        shares.append(1 - len(log.users_with(*training.TRAINS).offsets) / len(log.offsets))
        return log

    record = training.release_record
    monkeypatch.setattr(training, "read_log", reading)
    monkeypatch.setattr(
        training,
        "release_record",
        lambda *, audit_share, **words: record(audit_share=shares[-1], **words),
    )
    found = replay(subject, release=simulated_release, kinds=KINDS[:1])
    assert failed(found) == {f"replay: without {KINDS[0]}"} and "release.json" in found[0].asked


def test_synthetic_activity_that_is_cut_at_the_longest_real_history_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest, chunks, longest = training.train, pipeline.generate, list[int]()

    def training_on(log: Any, **options: Any) -> Any:
        longest.append(int(log.activity.max()))
        return honest(log, **options)

    def cut(artifact: Any, **options: Any) -> Iterator[Any]:
        for log in chunks(artifact, **options):
            place = np.arange(len(log.item)) - np.repeat(log.offsets[:-1], log.activity)
            yield log.keep(place < longest[-1])

    monkeypatch.setattr(training, "train", training_on)
    monkeypatch.setattr(pipeline, "generate", cut)
    found = replay(subject, release=simulated_release, kinds=["a user: longest"])
    assert (
        failed(found) == {"replay: without a user: longest"} and "events.parquet" in found[0].asked
    )


# draws of noise

HONEST_NOISED = Session._noised


def averaged(self: Session, plan: Any, total: np.ndarray) -> np.ndarray:
    return (HONEST_NOISED(self, plan, total) + HONEST_NOISED(self, plan, total)) / 2


def until_positive(self: Session, plan: Any, total: np.ndarray) -> np.ndarray:
    while (found := HONEST_NOISED(self, plan, total)).sum() <= 0:
        pass
    return found


def test_a_sum_that_is_drawn_twice_and_averaged_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(Session, "_noised", averaged)
    assert failed(replay(subject, release=simulated_release, kinds=[])) == {
        "accounting: one draw for each charge"
    }


def test_noise_that_is_drawn_again_until_a_sum_is_positive_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    log = subject.read(subject.events)
    assert failed(drawn_once(subject, log=log)) == set()
    monkeypatch.setattr(Session, "_noised", until_positive)
    assert failed(drawn_once(subject, log=log)) == {"noise: drawn once, whatever comes out"}


def test_a_source_of_noise_that_draws_again_until_a_sum_is_positive_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    def again(self: SystemNoise, name: str, total: np.ndarray, *, scale: float) -> np.ndarray:
        while (found := HONEST_NOISE(self, name, total, scale=scale)).sum() <= 0:
            pass
        return found

    monkeypatch.setattr(SystemNoise, "lattice", again)
    assert "noise: noise of sums leans nowhere" in failed(
        drawn_once(subject, log=subject.read(subject.events))
    )


def test_steps_that_run_without_their_charge_are_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest = Ledger.charge

    def forgetful(self: Ledger, entry: Entry) -> Entry:
        blocks = sum(each.mechanism == "game" for each in self.entries)
        return entry if entry.mechanism == "game" and blocks == 1 else honest(self, entry)

    monkeypatch.setattr(Ledger, "charge", forgetful)
    assert "accounting: one draw for each charge" in failed(
        replay(subject, release=simulated_release, kinds=[])
    )


def test_released_folders_are_left_nowhere(subject: Subject) -> None:
    assert sorted(path.name for path in Path(subject.schema.folder).glob("*.jsonl")) == []
