"""One critic step by DP-SGD: the only place where a network sees real users.

Formal guarantees: each user's gradient, over all their events at once, is made finite (else zero) and clipped to `clip_norm`; the sum
gets Gaussian noise of `noise_multiplier` clip norms from the operating system's own randomness; the noisy sum is divided by the
public expected batch size. The fakes' gradient is added afterwards, computed without hooks and without any factor of the real batch
(rules 1, 2, 3, 7). An empty batch adds its noise and counts.

Opacus's `make_private` would derive sampling rate and normaliser from the private number of users; its parts are used directly.
Not its noise: torch's generator on a CPU keeps 32 bits of any seed, so few enough to try them all.
"""

from __future__ import annotations

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch.func import functional_call
from torch.nn.functional import softplus

from synthrec.model.critic import Critic
from synthrec.privacy.noise import system_normal
from synthrec.privacy.plan import Training

GRADIENT_PENALTY = 1.0      # on fakes only: a penalty across or on real users would need noise of its own
WEIGHT_DECAY = 1e-4


class UserOptimizer(DPOptimizer):    # type: ignore[misc]
    """Opacus's optimizer, with users whose gradient is not finite taken as zero before the sum, and the operating system's noise."""

    def clip_and_accumulate(self) -> None:
        """Zero the non-finite, then clip and sum as Opacus does."""
        squares = torch.stack([rows.flatten(start_dim=1).square().sum(dim=1) for rows in self.grad_samples]).sum(dim=0)
        finite = torch.isfinite(squares)
        for parameter in self.params:
            rows = self._get_flat_grad_sample(parameter)
            parameter.grad_sample = torch.where(finite.reshape(-1, *[1] * (rows.dim() - 1)), rows, torch.zeros_like(rows))
        super().clip_and_accumulate()

    def add_noise(self) -> None:
        """The clipped sum with noise of `noise_multiplier` clip norms on each coordinate, drawn anew."""
        for parameter in self.params:
            noise = torch.as_tensor(system_normal(parameter.numel()) * (self.noise_multiplier * self.max_grad_norm), dtype=parameter.dtype)
            parameter.grad = parameter.summed_grad + noise.reshape(parameter.shape).to(parameter.device)


class PrivateCritic:
    """A critic, its private optimizer and nothing that remembers a user."""

    def __init__(self, critic: Critic, *, training: Training, device: torch.device) -> None:
        self._plain = critic.to(device)
        self._hooked = GradSampleModule(shaped_like(critic).to(device), loss_reduction="sum")
        self._hooked._module.load_state_dict(self._plain.state_dict())
        inner = torch.optim.Adam(self._hooked.parameters(), lr=training.critic_rate, betas=(0.5, 0.9), weight_decay=WEIGHT_DECAY)
        self._optimizer = UserOptimizer(
            inner, noise_multiplier=training.noise_multiplier, max_grad_norm=training.clip_norm,
            expected_batch_size=training.expected_batch_size, loss_reduction="mean")

    def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        """Learn to tell `real` users, drawn by Poisson sampling, from `fake` ones.

        Shapes:
            real [any number, also 0, inputs]; fake [fakes_per_step, inputs].
        """
        self._optimizer.zero_grad()
        softplus(-self._hooked(real.detach().requires_grad_())).sum().backward()    # backward hooks want an input with a gradient
        self._optimizer.pre_step()
        for parameter, gradient in zip(self._hooked.parameters(), self._fake_gradients(fake), strict=True):
            parameter.grad += gradient
        self._optimizer.original_optimizer.step()

    def score(self, users: torch.Tensor) -> torch.Tensor:
        """Scores with a gradient to `users`, but none to the critic."""
        weights = {name: parameter.detach() for name, parameter in self._hooked._module.named_parameters()}
        scores: torch.Tensor = functional_call(self._plain, weights, (users,))
        return scores

    def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = {name: parameter.detach().requires_grad_() for name, parameter in self._hooked._module.named_parameters()}
        fake = fake.detach().requires_grad_()
        scores = functional_call(self._plain, weights, (fake,))
        slopes, = torch.autograd.grad(scores.sum(), fake, create_graph=True)
        loss = softplus(scores).mean() + GRADIENT_PENALTY * slopes.square().sum(dim=1).mean()
        return torch.autograd.grad(loss, tuple(weights.values()), allow_unused=False)


def shaped_like(critic: Critic) -> Critic:
    """A critic of the same shape, without hooks."""
    first, second = critic.body[0], critic.body[2]
    assert isinstance(first, torch.nn.Linear) and isinstance(second, torch.nn.Linear)
    return Critic(inputs=first.in_features, hidden=first.out_features)
