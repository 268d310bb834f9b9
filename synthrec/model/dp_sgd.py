"""The critic and its step by DP-SGD: the only place where a network sees real users.

Does a user look real? The critic sees a user, not a row: events pooled in feature space (means over
the user's events of features, squared features, deviations and their products), and the user's
conditions. No batch normalisation and nothing else that lets one user's score depend on another
(rule: clip per user). The same numbers are made two ways: from a log with sparse products, and from
a generator's picks with gradients.

Formal guarantees: row b of the pooled users is a function of user b's own events and attributes,
public features and released measurements only; each user's gradient, over all their events at once, is made finite (else zero)
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
from collections.abc import Callable, Mapping

import numpy as np
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn
from torch.func import functional_call
from torch.nn.functional import softplus

from synthrec.data.eventlog import EventLog
from synthrec.model.generator import condition_vectors
from synthrec.model.statistic import part
from synthrec.model.tastes import TasteFrame, by_user, deviations
from synthrec.privacy.mechanisms import ROUNDING
from synthrec.privacy.plan import Training

GRADIENT_PENALTY = (
    1.0  # on fakes only: a penalty across or on real users would need noise of its own
)
WEIGHT_DECAY = 1e-4
Release = Callable[[np.ndarray], np.ndarray]


class Critic(nn.Module):
    """Pooled user features to a score, higher for real.

    Shapes:
        [B, inputs] -> [B].
    """

    def __init__(self, *, inputs: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden // 2),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden // 2, 1),
        )

    def forward(self, users: torch.Tensor) -> torch.Tensor:
        """Scores (logits of "real")."""
        scores: torch.Tensor = self.body(users).squeeze(1)
        return scores


def pooled_width(features: int) -> int:
    """Length of a pooled vector, conditions not counted."""
    return 3 * features + 2


def pool_log(
    log: EventLog, *, frame: TasteFrame, sizes: Mapping[str, int], most_events: int
) -> np.ndarray:
    """Pooled vectors and conditions of all users of a log.

    Shapes:
        -> float32[B, 3F + 2 + C].
    """
    rows = []
    items = len(frame.item_mean)
    ones, squares = np.ones(items), frame.features**2
    for block in log.blocks():
        events = block.activity
        weight = np.repeat(1 / np.maximum(events, 1), events)
        deviation = deviations(block, frame=frame)
        picked, rated, squared = (
            by_user(block, weight * value, items=items)
            for value in (np.ones(len(weight)), deviation, deviation**2)
        )
        rows.append(
            np.column_stack(
                [
                    picked @ frame.features,
                    picked @ squares,
                    rated @ frame.features,
                    rated @ ones,
                    squared @ ones,
                    condition_vectors(
                        events, block.attributes, sizes=sizes, most_events=most_events
                    ),
                ]
            )
        )
    width = pooled_width(frame.features.shape[1]) + 1 + sum(size + 1 for size in sizes.values())
    return np.concatenate([np.zeros((0, width)), *rows]).astype(np.float32)


def pool_picks(
    features: torch.Tensor, deviation: torch.Tensor, weight: torch.Tensor, condition: torch.Tensor
) -> torch.Tensor:
    """Pooled vectors of picked events; differentiable in `deviation` and `weight`.

    Shapes:
        features [B, N, F] of the picked items, deviation [B, N] in quarters of the scale, weight
        [B, N] summing to 1 per user (0 where there is no event), condition [B, C] -> [B, 3F + 2 +
        C].
    """

    def mean(values: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bn,bnf->bf", weight, values)

    rated = mean(features * deviation[..., None])
    own = torch.stack([(weight * deviation).sum(dim=1), (weight * deviation**2).sum(dim=1)], dim=1)
    return torch.cat([mean(features), mean(features**2), rated, own, condition], dim=1)


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
        ends = np.cumsum([parameter.numel() for parameter in self.params])
        parts = np.split(self.release(summed.cpu().numpy()), ends[:-1])
        for parameter, noisy in zip(self.params, parts, strict=True):
            rounded = torch.as_tensor(noisy, dtype=torch.float64).float().to(parameter)
            parameter.grad = rounded.reshape(parameter.shape)


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
        # backward hooks want an input with a gradient
        scores = self._hooked(real.detach().double().requires_grad_())
        torch.autograd.backward(softplus(-scores).sum())
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
        f"{prefix}.{index}.{name}": torch.as_tensor(value)
        for index, moments in optimizer.state_dict()["state"].items()
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
    for name, value in part(state, f"{prefix}.").items():
        number, moment = name.split(".")
        moments.setdefault(int(number), {})[moment] = value
    for index, values in moments.items():
        shape = parameters[index].shape
        wanted = {"step": torch.Size([1]), "exp_avg": shape, "exp_avg_sq": shape}
        if index < 0 or {name: value.shape for name, value in values.items()} != wanted:
            raise ValueError
        positive = (values["exp_avg_sq"] >= 0).all() and values["step"] >= 0
        if not positive or not all(value.isfinite().all() for value in values.values()):
            raise ValueError
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
