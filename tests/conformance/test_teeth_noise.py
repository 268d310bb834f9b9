"""Seeded bugs of noise, its source and its accounting: each passes the other checks, and the one
that is named for it says so.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from synthrec.conformance.accounting import accountants
from synthrec.conformance.answers import CHARGE
from synthrec.conformance.noise import noise_of_sources, noise_of_sums, noise_of_tensors
from synthrec.conformance.record import Check
from synthrec.conformance.sensitivity import raw_move, sum_of_parts, uncounted
from synthrec.conformance.subject import Subject
from synthrec.conformance.suite import charged
from synthrec.data.eventlog import EventLog
from synthrec.inspection.mechanism import _blanked, known_questions
from synthrec.model.adversarial import SyntheticBatches
from synthrec.model.dp_sgd import UserOptimizer
from synthrec.privacy import accounting, mechanisms
from synthrec.privacy.event import Event, gaussian
from synthrec.privacy.ledger import Entry
from synthrec.privacy.mechanisms import SystemNoise
from synthrec.privacy.plan import Training
from synthrec.privacy.session import Session
from tests.conformance.test_teeth import failed, game_checks
from tests.conformance.test_teeth import subject as subject  # noqa: PLC0414  (a fixture)

Patch = pytest.MonkeyPatch


@pytest.fixture(scope="module")
def entries(subject: Subject) -> tuple[Entry, ...]:
    """What a training is charged, its steps in blocks."""
    training = subject.plan.training
    assert training is not None
    steps = tuple(
        CHARGE.entry(mechanism="game", event=training.event(count)) for count in training.blocks()
    )
    return (*charged(subject), *steps)


# accounting


def opinions(subject: Subject, entries: tuple[Entry, ...]) -> set[str]:
    return failed(accountants(entries, delta=subject.plan.delta, asked_for=subject.plan.epsilon))


HONEST_GROUPS = accounting._grouped


def without_the_largest_sum(events: Any) -> Any:
    """For all three accountants: they share their grouping."""
    kept = list(events)
    sums = [event for event in kept if event.sampling_rate == 1.0]
    if len(sums) > 1:
        kept.remove(min(sums, key=lambda event: event.noise_multiplier))
    return HONEST_GROUPS(kept)


def without_steps(events: Any) -> Any:
    kept = list(events)
    return HONEST_GROUPS([event for event in kept if event.sampling_rate == 1.0] or kept)


def test_an_honest_ledger_is_claimed_as_it_must_be(
    subject: Subject, entries: tuple[Entry, ...]
) -> None:
    checks = accountants(entries, delta=subject.plan.delta, asked_for=subject.plan.epsilon)
    assert failed(checks) == set() and are_known(checks, subject)


@pytest.mark.parametrize(
    ("saboteur", "named"),
    [
        (
            without_the_largest_sum,
            {
                "accounting: claim is no less than it must be",
                "accounting: sums compose in closed form",
            },
        ),
        (without_steps, {"accounting: claim is no less than it must be"}),
    ],
)
def test_accountants_that_forget_some_entries_alike_are_caught(
    saboteur: Any, named: set[str], subject: Subject, entries: tuple[Entry, ...], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(accounting, "_grouped", saboteur)
    assert named <= opinions(subject, entries)


def test_a_list_of_events_that_lacks_an_entry_is_caught(
    subject: Subject, entries: tuple[Entry, ...], monkeypatch: Patch
) -> None:
    monkeypatch.setattr(
        "synthrec.conformance.accounting.events_of",
        lambda entries: tuple(entry.event for entry in entries[1:]),
    )
    assert "accounting: claim is no less than it must be" in opinions(subject, entries)


def test_a_threshold_whose_delta_is_forgotten_is_caught(
    subject: Subject, entries: tuple[Entry, ...], monkeypatch: Patch
) -> None:
    monkeypatch.setattr("synthrec.conformance.accounting.extra_delta_of", lambda entries: 0.0)
    assert "accounting: a threshold's delta counts" in opinions(subject, entries)
    named = (*entries, entries[0].model_copy(update={"extra_delta": subject.plan.delta / 2}))
    assert "accounting: claim is no less than it must be" in opinions(subject, named)


# tensors of the critic

HONEST_NOISE = UserOptimizer.add_noise


def only_on(kept: Callable[[int, torch.Tensor], bool]) -> Callable[[UserOptimizer], None]:
    """Noise on some tensors."""

    def add_noise(self: UserOptimizer) -> None:
        HONEST_NOISE(self)
        for place, parameter in enumerate(self.params):
            if not kept(place, parameter):
                parameter.grad = parameter.summed_grad.float().to(parameter.dtype)

    return add_noise


def shared(self: UserOptimizer) -> None:
    """The same noise for every tensor."""
    once = self.release(np.zeros(max(parameter.numel() for parameter in self.params)))
    for parameter in self.params:
        noisy = parameter.summed_grad.reshape(-1) + torch.as_tensor(once[: parameter.numel()])
        parameter.grad = noisy.reshape(parameter.shape).to(parameter.dtype)


BIASES = {f"noise: critic step, body.{layer}.bias" for layer in (0, 2, 4)}
WEIGHTS = {f"noise: critic step, body.{layer}.weight" for layer in (0, 2, 4)}


@pytest.mark.parametrize(
    ("saboteur", "named"),
    [
        (only_on(lambda place, parameter: parameter.ndim > 1), BIASES),
        (
            only_on(lambda place, parameter: place < 2),
            {name for name in BIASES | WEIGHTS if "body.0" not in name},
        ),
        (shared, {"noise: critic step, tensors are apart"}),
    ],
)
def test_a_tensor_of_the_critic_without_noise_of_its_own_is_caught(
    saboteur: Any, named: set[str], subject: Subject, monkeypatch: Patch
) -> None:
    assert subject.plan.training is not None
    monkeypatch.setattr(UserOptimizer, "add_noise", saboteur)
    apart = {"noise: critic step, tensors are apart"}
    found = failed(noise_of_tensors(subject.plan.training))
    assert named <= found <= named | apart


# what is charged and what is done

HONEST_EVENT, HONEST_BATCH, HONEST_BATCHES = (
    Training.event,
    SyntheticBatches.batch,
    Session.critic_batches,
)


def at_twice_the_noise_and_half_the_rate(self: Training, steps: int) -> Event:
    return gaussian(
        noise_multiplier=2 * self.noise_multiplier,
        sampling_rate=self.sampling_rate / 2,
        count=steps,
    )


def test_a_game_charged_at_other_noise_or_another_rate_or_with_as_many_fakes_as_the_batch_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    size = [256]

    def batches(self: Session, users: Any, vectors: Any) -> Iterator[np.ndarray]:
        for rows in HONEST_BATCHES(self, users, vectors):
            size.append(len(rows))
            yield rows

    monkeypatch.setattr(Session, "critic_batches", batches)
    monkeypatch.setattr(
        SyntheticBatches, "batch", lambda self, users: HONEST_BATCH(self, max(1, size[-1]))
    )
    monkeypatch.setattr(Training, "event", at_twice_the_noise_and_half_the_rate)
    found = failed(game_checks(subject))
    assert {
        "noise: critic step",
        "noise: critic step, mostly empty batches",
        "accounting: noise as charged, many users",
    } <= found
    assert {
        "sampling: sampler: rate",
        "sampling: training: rate",
        "accounting: rate as charged, many users",
    } <= found
    assert {
        "accounting: constants as planned, many users",
        "accounting: constants as planned, three users",
    } <= found


def test_a_game_that_leaves_out_a_block_of_users_or_has_a_twentieth_less_noise_is_caught(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest, gradient = EventLog.blocks, SystemNoise.gradient

    def but_the_last(self: EventLog) -> Iterator[Any]:
        *blocks, last = honest(self)
        yield from blocks or [last]

    monkeypatch.setattr(EventLog, "blocks", but_the_last)
    monkeypatch.setattr(
        SystemNoise,
        "gradient",
        lambda self, summed, *, scale: gradient(self, summed, scale=0.95 * scale),
    )
    checks = game_checks(subject)
    found = failed(checks)
    assert are_known(checks, subject)
    assert {
        "accounting: coins for everybody, many users",
        "noise: critic step",
        "noise: critic step, body.0.weight",
    } <= found
    assert uncounted(subject) == [each.name for each in subject.plan.measurements]


def test_sums_with_a_twentieth_more_or_less_noise_are_caught_in_each(
    subject: Subject, monkeypatch: Patch
) -> None:
    honest, names = SystemNoise.lattice, [each.name for each in subject.plan.measurements]
    monkeypatch.setattr(
        SystemNoise,
        "lattice",
        lambda self, name, total, *, scale: honest(
            self, name, total, scale=(0.95, 1.05)[names.index(name) % 2] * scale
        ),
    )
    assert {f"noise: {name}" for name in names} <= failed(
        noise_of_sums(subject, log=subject.read(subject.events))
    )


def test_a_sum_that_is_charged_at_twice_its_noise_is_caught_by_a_question_that_inspect_knows(
    subject: Subject, monkeypatch: Patch
) -> None:
    doubled = property(
        lambda plan: gaussian(
            noise_multiplier=2 * plan.noise_multiplier, sampling_rate=1.0, count=1
        )
    )
    monkeypatch.setattr(mechanisms.GaussianSum, "event", doubled)
    checks = noise_of_sums(subject, log=subject.read(subject.events))
    assert {f"noise: {each.name}" for each in subject.plan.measurements} <= failed(checks)
    assert are_known(checks, subject)


# sources


def short(count: int) -> int:
    return int.from_bytes(os.urandom(count), "big")


def masked(size: int, *, random_bytes: Any) -> np.ndarray:
    """Reads enough, keeps 16 bits."""
    return np.random.default_rng(int.from_bytes(random_bytes(32), "big") & 0xFFFF).standard_normal(
        size
    )


def lattice_from(seed: Callable[[], int]) -> Any:
    return lambda self, name, total, *, scale: (
        total + np.round(np.random.default_rng(seed()).normal(0, scale, len(total)))
    )


@pytest.mark.parametrize(
    ("owner", "name", "saboteur", "named"),
    [
        (
            mechanisms,
            "system_normal",
            lambda size, **_: np.random.default_rng(short(2)).standard_normal(size),
            "bytes behind noise of training",
        ),
        (mechanisms, "system_normal", masked, "bytes behind noise of training"),
        (
            mechanisms,
            "system_generator",
            lambda random_bytes: np.random.default_rng(int.from_bytes(random_bytes(2), "big")),
            "bytes behind coins",
        ),
        (
            mechanisms,
            "system_generator",
            lambda random_bytes: np.random.default_rng(time.time_ns()),
            "bytes behind coins",
        ),
        (SystemNoise, "lattice", lattice_from(partial(short, 2)), "noise of sums never meets"),
    ],
)
def test_a_short_seed_or_the_clock_behind_noise_or_coins_is_caught(
    owner: Any, name: str, saboteur: Any, named: str, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(owner, name, saboteur)
    assert failed(noise_of_sources()) == {f"noise: {named}"}


def test_bytes_of_the_operating_system_are_enough_bytes(subject: Subject) -> None:
    checks = noise_of_sources()
    assert failed(checks) == set() and are_known(checks, subject)


# sums


def test_parts_of_a_cell_that_are_rounded_one_by_one_are_caught(monkeypatch: Patch) -> None:
    assert raw_move(sum_of_parts) <= 1.0
    monkeypatch.setattr(sp.csr_matrix, "sum_duplicates", lambda self: None)
    assert raw_move(sum_of_parts) > 1.0


def are_known(checks: list[Check], subject: Subject) -> bool:
    """Does `inspect` know every question?"""
    known = known_questions(subject.plan.measurements)
    return {
        (check.topic, _blanked(check.name)): _blanked(check.asked) for check in checks
    }.items() <= known.items()
