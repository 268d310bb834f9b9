"""One critic step: clipped per user, noised, divided by a constant, fakes apart. Teeth: each rule
is broken on purpose and caught.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from opacus.optimizers import DPOptimizer, optimizer

from synthrec.conformance.sensitivity import (
    CPU,
    HIDDEN,
    INPUTS,
    ROUNDING,
    CriticStep,
    constant_error,
    fake_error,
    heavy_move,
    longest_move,
    odd_batch,
    some_users,
)
from synthrec.model.dp_sgd import Critic, PrivateCritic, UserOptimizer, pool_log
from synthrec.model.tastes import TasteFrame
from synthrec.privacy import mechanisms
from synthrec.privacy.plan import Training
from tests.model.small import ITEMS, make_log
from tests.statistics_ import accepts_only_the_truth

CLIP, EXPECTED, NOISE = 0.8, 50.0, 1.7


def training(*, noise: float = NOISE) -> Training:
    return Training(
        share=0.1,
        sampling_rate=0.1,
        expected_batch_size=EXPECTED,
        steps=20,
        clip_norm=CLIP,
        fakes_per_step=8,
        critic_rate=1e-3,
        generator_rate=1e-3,
        critic_steps_per_generator_step=2,
        anchor_weight=1.0,
        noise_multiplier=noise,
    )


def Step(*, noise: float = 0.0, **options: Any) -> CriticStep:
    """A step whose gradient can be looked at, in clip norms of the sum."""
    return CriticStep(training(), noise=noise, **options)


users = some_users
NOBODY, FAKE = users(0), users(8, seed=1)


def most_moved(*, scale: float = 1.0) -> float:
    return longest_move(training(), scale=scale)


@pytest.mark.parametrize("scale", [0.2, 1.0, 10.0])
def test_one_user_moves_the_gradient_by_at_most_the_clip_norm_over_the_constant(
    scale: float,
) -> None:
    assert most_moved(scale=scale) <= 1 + 1e-4


def loosely(self: UserOptimizer) -> None:
    self.max_grad_norm = 1.1 * CLIP
    HONEST_CLIPPING(self)


HONEST_CLIPPING = UserOptimizer.clip_and_accumulate


@pytest.mark.parametrize("saboteur", [loosely, DPOptimizer.clip_and_accumulate])
def test_clipping_to_another_norm_or_letting_nan_through_is_caught(
    saboteur: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(UserOptimizer, "clip_and_accumulate", saboteur)
    assert most_moved(scale=10.0) > 1.05


def most_moved_among_many() -> float:
    """The move of the clipped sum of 1,200 nearly equal users, in clip norms, when one of them
    leaves: adding floats rounds most here.
    """
    batch = users(1).repeat(1200, 1) + 0.01 * users(1200, seed=3)

    def total(rows: torch.Tensor) -> torch.Tensor:
        critic = Step(scale=3.0).critic
        critic._optimizer.zero_grad()
        torch.nn.functional.softplus(
            -critic._hooked(rows.double().requires_grad_())
        ).sum().backward()
        critic._optimizer.clip_and_accumulate()
        return torch.cat(
            [parameter.summed_grad.double().flatten() for parameter in critic._optimizer.params]
        )

    whole = total(batch.clone())
    return max(
        float((whole - total(torch.cat([batch[:gone], batch[gone + 1 :]]))).norm()) / CLIP
        for gone in (0, 1, 600, 1199)
    )


def test_rounding_lets_no_user_of_a_large_batch_count_more_than_the_clip_norm() -> None:
    assert 0.99 < most_moved_among_many() <= 1.0


def in_single_precision(self: UserOptimizer) -> None:
    rows = [parameter.grad_sample.float() for parameter in self.params]
    norms = (
        torch.stack([each.flatten(start_dim=1).square().sum(dim=1) for each in rows])
        .sum(dim=0)
        .sqrt()
    )
    for parameter, each in zip(self.params, rows, strict=True):
        parameter.summed_grad = torch.einsum("i,i...", (CLIP / norms).clamp(max=1.0), each).double()


def test_adding_up_in_single_precision_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserOptimizer, "clip_and_accumulate", in_single_precision)
    assert most_moved_among_many() > 1.0


def test_a_user_who_is_not_finite_counts_as_nothing_and_disturbs_nobody() -> None:
    step, batch = Step(), odd_batch()
    sound = torch.cat([batch[:16], batch[18:]])
    # equal but for the order in which two threads add: far below what one user may move
    assert step(torch.cat([batch[16:18], sound]), FAKE) == pytest.approx(
        step(sound, FAKE), abs=1e-5
    )


def test_the_sum_of_a_batch_is_the_sum_of_its_users() -> None:
    step, batch = Step(), users(7)
    nobody = step(NOBODY, FAKE)
    alone = sum(step(user[None], FAKE) - nobody for user in batch)
    assert step(batch, FAKE) - nobody == pytest.approx(alone, abs=1e-4)


def frame() -> TasteFrame:
    rng = np.random.default_rng(0)
    return TasteFrame(
        features=rng.normal(0, 1, (ITEMS, 4)),
        item_mean=np.full(ITEMS, 3.0),
        popularity=np.full(ITEMS, 1 / ITEMS),
        rating_unit=1.0,
    )


def test_a_user_of_ten_thousand_events_counts_as_one_user() -> None:
    assert heavy_move(training()) <= 1 + 1e-4
    assert heavy_move(training(), per_event=True) > 100


def test_pooled_users_are_functions_of_their_own_events_to_the_last_bit() -> None:
    log, sizes = make_log(users=40), {"gender": 2, "region": 3}
    whole = pool_log(log, frame=frame(), sizes=sizes, most_events=20)
    for user in (0, 17, 39):
        alone = pool_log(log.select(np.array([user])), frame=frame(), sizes=sizes, most_events=20)
        assert np.array_equal(alone[0], whole[user])


def noise_is_as_planned(real: torch.Tensor) -> bool:
    silent, noisy = Step(), Step(noise=NOISE)
    without = silent(real, FAKE)
    return accepts_only_the_truth(lambda: noisy(real, FAKE) - without, NOISE)


@pytest.mark.parametrize("count", [0, 1, 40])
def test_a_step_has_the_planned_noise_also_on_an_empty_batch(count: int) -> None:
    assert noise_is_as_planned(users(count))


def none(size: int) -> np.ndarray:
    return np.zeros(size)


def half(size: int) -> np.ndarray:
    return 0.5 * np.random.default_rng().standard_normal(size)


def fixed_seed(size: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(size)


@pytest.mark.parametrize("saboteur", [none, half, fixed_seed])
def test_noise_that_is_absent_halved_or_repeated_is_caught(
    saboteur: Callable[[int], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mechanisms, "system_normal", lambda size, **_: saboteur(size))
    assert not noise_is_as_planned(NOBODY)


def skip_empty(self: UserOptimizer, closure: object = None) -> bool:
    if len(self.grad_samples[0]) == 0:
        for parameter in self.params:
            parameter.grad = torch.zeros_like(parameter)
        return True
    return bool(HONEST_PRE_STEP(self, closure))


HONEST_PRE_STEP = DPOptimizer.pre_step


def test_an_empty_batch_that_is_skipped_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserOptimizer, "pre_step", skip_empty)
    assert not noise_is_as_planned(NOBODY)


def noise_of_torch_runs(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Does a step ask Opacus for noise? It would come from torch's generator, whatever
    `secure_mode` says.
    """
    asked = []
    honest = optimizer._generate_noise
    monkeypatch.setattr(
        optimizer,
        "_generate_noise",
        lambda *words, **named: asked.append(1) or honest(*words, **named),
    )
    Step(noise=NOISE)(users(5), FAKE)
    return bool(asked)


def test_no_noise_of_torch_runs_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not noise_of_torch_runs(monkeypatch)


def test_a_step_that_falls_back_to_opacus_noise_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserOptimizer, "add_noise", DPOptimizer.add_noise)
    assert noise_of_torch_runs(monkeypatch)


def test_an_empty_batch_moves_the_critic() -> None:
    step = PrivateCritic(
        Critic(inputs=INPUTS, hidden=HIDDEN),
        training=training(),
        release=lambda summed: summed + 1.0,
        device=CPU,
    )
    before = [parameter.clone() for parameter in step._hooked.parameters()]
    step.step(NOBODY, FAKE)
    assert all(
        not torch.equal(old, new)
        for old, new in zip(before, step._hooked.parameters(), strict=True)
    )


def divides_by_the_constant() -> bool:
    """One user pulls as hard in a batch ten times larger."""
    return constant_error(Step()) < ROUNDING


def test_the_sum_is_divided_by_the_public_constant_whatever_the_batch() -> None:
    assert divides_by_the_constant()


def test_division_by_the_real_batch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def scale_grad(self: UserOptimizer) -> None:
        for parameter in self.params:
            parameter.grad /= max(1, len(parameter.grad_sample))

    monkeypatch.setattr(UserOptimizer, "scale_grad", scale_grad)
    assert not divides_by_the_constant()


def fakes_are_apart() -> bool:
    """Exchanging the fakes changes the gradient in the same way beside nobody, some, and many users
    of large gradients.
    """
    return fake_error(Step(scale=3.0)) < ROUNDING


def test_the_fakes_pull_the_same_whatever_the_real_batch() -> None:
    assert fakes_are_apart()


def test_fakes_scaled_by_the_real_batch_or_its_clipping_are_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    honest = PrivateCritic._fake_gradients

    def by_batch(self: PrivateCritic, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        real = len(self._optimizer.grad_samples[0])
        return tuple(gradient * (real / EXPECTED) for gradient in honest(self, fake))

    def by_clipping(self: PrivateCritic, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = torch.cat(
            [rows.flatten(start_dim=1) for rows in self._optimizer.grad_samples], dim=1
        )
        factor = (CLIP / rows.norm(dim=1)).clamp(max=1.0).mean() if len(rows) else torch.tensor(1.0)
        return tuple(gradient * factor for gradient in honest(self, fake))

    for saboteur in (by_batch, by_clipping):
        monkeypatch.setattr(PrivateCritic, "_fake_gradients", saboteur)
        assert not fakes_are_apart()


def test_the_critic_scores_each_user_alone() -> None:
    torch.manual_seed(0)
    critic, batch = Critic(inputs=INPUTS, hidden=HIDDEN), users(12)
    for mode in (critic.train(), critic.eval()):
        assert torch.allclose(
            mode(batch), torch.cat([mode(user[None]) for user in batch]), atol=1e-6
        )
    normed = torch.nn.Sequential(
        critic.body[0], torch.nn.BatchNorm1d(HIDDEN), *critic.body[1:]
    ).train()  # the saboteur
    assert not torch.allclose(normed(batch)[:6], normed(batch[:6]), atol=1e-3)
