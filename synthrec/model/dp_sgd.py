"""One critic step by DP-SGD: the only place where a network sees real users.

Formal guarantees: each user's gradient, over all their events at once, is made finite (else zero)
and clipped to `clip_norm`; the sum leaves as `Session.noisy_gradient` of it, with Gaussian noise of
`noise_multiplier` clip norms; the noisy sum is divided by the public expected batch size. The
fakes' gradient is added afterwards, computed without hooks and without any factor of the real batch
(rules: clip per user, Poisson sampling, public constants, system noise). An empty batch adds its
noise and counts.

Opacus's `make_private` would derive sampling rate and normaliser from the private number of users;
its parts are used directly. Not its noise: torch's generator on a CPU keeps 32 bits of any seed, so
few enough to try them all.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch.func import functional_call
from torch.nn.functional import softplus

from synthrec.model.critic import Critic
from synthrec.privacy.mechanisms import ROUNDING
from synthrec.privacy.plan import Training

GRADIENT_PENALTY = (
    1.0  # on fakes only: a penalty across or on real users would need noise of its own
)
WEIGHT_DECAY = 1e-4
Release = Callable[[np.ndarray], np.ndarray]


class UserOptimizer(DPOptimizer):  # type: ignore[misc]
    """Opacus's optimizer, with users whose gradient is not finite taken as zero before the sum, and
    a session's noise.

    `release`: what becomes of the clipped sum, `Session.noisy_gradient`. Shapes: float64[weights]
    -> float64[weights].

    A sum of floats can move by more than one of its parts (Casacuberta, Shoemate, Vadhan and
    Wagaman 2022), so it is made in double precision, where ROUNDING covers what that can do. Low
    bits can tell what noise was added to (Mironov 2012), so the noisy sum is rounded to single
    precision once.
    """

    release: Release

    def clip_and_accumulate(self) -> None:
        """The sum of users' gradients, each finite or zero, of norm at most `max_grad_norm`."""
        gradients = [self._get_flat_grad_sample(parameter).double() for parameter in self.params]
        squares = torch.stack(
            [rows.flatten(start_dim=1).square().sum(dim=1) for rows in gradients]
        ).sum(dim=0)
        factor = (self.max_grad_norm / squares.sqrt()).clamp(max=1.0) * ROUNDING
        factor = torch.where(torch.isfinite(squares), factor, torch.zeros_like(squares))
        for parameter, rows in zip(self.params, gradients, strict=True):
            parameter.summed_grad = torch.einsum(
                "i,i...", factor, torch.nan_to_num(rows, nan=0.0, posinf=0.0, neginf=0.0)
            )

    def add_noise(self) -> None:
        """What is released of the clipped sum: one draw of noise for all weights together."""
        summed = torch.cat([parameter.summed_grad.reshape(-1) for parameter in self.params])
        noisy = torch.as_tensor(self.release(summed.cpu().numpy()), dtype=torch.float64)
        for parameter, part in zip(
            self.params, noisy.split([parameter.numel() for parameter in self.params]), strict=True
        ):
            parameter.grad = (
                part.reshape(parameter.shape).to(parameter.device).float().to(parameter.dtype)
            )


class PrivateCritic:
    """A critic, its private optimizer and nothing that remembers a user."""

    network: type[Critic] = Critic
    optimizer: type[UserOptimizer] = UserOptimizer

    def __init__(
        self, critic: Critic, *, training: Training, release: Release, device: torch.device
    ) -> None:
        critic = (
            critic.double()
        )  # in float32 the last bits of a user's gradient depend on who else is in the batch
        self._plain = critic.to(device)
        self._hooked = GradSampleModule(copy.deepcopy(self._plain), loss_reduction="sum")
        inner = torch.optim.Adam(
            self._hooked.parameters(),
            lr=training.critic_rate,
            betas=(0.5, 0.9),
            weight_decay=WEIGHT_DECAY,
        )
        self._optimizer = self.optimizer(
            inner,
            noise_multiplier=training.noise_multiplier,
            max_grad_norm=training.clip_norm,
            expected_batch_size=training.expected_batch_size,
            loss_reduction="mean",
        )
        self._optimizer.release = release

    def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
        """Learn to tell `real` users, drawn by Poisson sampling, from `fake` ones.

        Shapes:
            real [any number, also 0, inputs]; fake [fakes_per_step, inputs].
        """
        self._optimizer.zero_grad()
        softplus(
            -self._hooked(real.detach().double().requires_grad_())
        ).sum().backward()  # backward hooks want an input with a gradient
        self._optimizer.pre_step()
        for parameter, gradient in zip(
            self._hooked.parameters(), self._fake_gradients(fake), strict=True
        ):
            parameter.grad += gradient
        self._optimizer.original_optimizer.step()

    def score(self, users: torch.Tensor) -> torch.Tensor:
        """Scores with a gradient to `users`, but none to the critic."""
        weights = {
            name: parameter.detach() for name, parameter in self._hooked._module.named_parameters()
        }
        scores: torch.Tensor = functional_call(self._plain, weights, (users.double(),))
        return scores

    def state(self) -> dict[str, torch.Tensor]:
        """Weights and moments of the optimizer: all that a step leaves behind, after its noise."""
        weights = {
            f"critic.{name}": tensor for name, tensor in self._hooked._module.state_dict().items()
        }
        return weights | optimizer_state(
            self._optimizer.original_optimizer, prefix="critic_moments"
        )

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Be as `state` was."""
        self._hooked._module.load_state_dict(
            {name: state[f"critic.{name}"] for name in self._hooked._module.state_dict()}
        )
        restore_optimizer(self._optimizer.original_optimizer, state, prefix="critic_moments")

    def _fake_gradients(self, fake: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = {
            name: parameter.detach().requires_grad_()
            for name, parameter in self._hooked._module.named_parameters()
        }
        fake = fake.detach().double().requires_grad_()
        scores = functional_call(self._plain, weights, (fake,))
        (slopes,) = torch.autograd.grad(scores.sum(), fake, create_graph=True)
        loss = softplus(scores).mean() + GRADIENT_PENALTY * slopes.square().sum(dim=1).mean()
        return torch.autograd.grad(loss, tuple(weights.values()), allow_unused=False)


def optimizer_state(optimizer: torch.optim.Optimizer, *, prefix: str) -> dict[str, torch.Tensor]:
    """An Adam's moments and step counts, each by a name."""
    return {
        f"{prefix}.{place}.{name}": torch.as_tensor(value)
        for place, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, state: dict[str, torch.Tensor], *, prefix: str
) -> None:
    """The other way round. Raises LookupError or ValueError for what no Adam of these parameters
    leaves.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in state.items():
        if name.startswith(f"{prefix}."):
            place, moment = name.removeprefix(f"{prefix}.").split(".")
            moments.setdefault(int(place), {})[moment] = value
    for place, found in moments.items():
        shape = parameters[place].shape
        wanted = {"step": torch.Size([1]), "exp_avg": shape, "exp_avg_sq": shape}
        finite = all(value.isfinite().all() for value in found.values())
        if (
            place < 0
            or not finite
            or {name: value.shape for name, value in found.items()} != wanted
        ):
            raise ValueError
        if (found["exp_avg_sq"] < 0).any() or found["step"] < 0:
            raise ValueError
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
