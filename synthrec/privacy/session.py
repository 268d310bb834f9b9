"""The one door to private data: whatever is learned from a log is charged, asked and noised here,
in this order.

    # lock, cap, charge and noise are fixed at birth
    with Session.open(path, plan=..., source=..., cap=..., kind=...) as session:
        session.select_partitions("vocabulary of item_id", read)  # only columns that say "dp"
        session.noisy_sum("items", users, vectors, size=...)  # one planned sum over users
        for rows in session.critic_batches(users, vectors):
            session.noisy_gradient(summed)

`users` is anything that gives its users in blocks; `vectors` is a pure function from one block of
whole users (and public or released values) to a matrix of a row a user. Nothing else of the
computation needs the log.

Formal guarantees: the ledger is charged, on disk, before a block is read (rules: mechanism with
entry, write-ahead ledger); what is not in the plan, or was asked before, is refused, so each charge
pays for one draw of noise; scale of noise, sampling rate and clip norm come from the plan that the
charge is written from. A value that was paid for and kept by a run that died is read again, without
a charge and without the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from synthrec.data.open_domains import KeySets
from synthrec.errors import BudgetError, PlanError, ReleaseError
from synthrec.privacy.budget import epsilon_of, require_budget
from synthrec.privacy.ledger import Charge, Entry, Kind, Ledger, events_of
from synthrec.privacy.mechanisms import (
    LATTICE,
    GaussianSum,
    Measurement,
    Noise,
    SystemNoise,
    lattice_sum,
)
from synthrec.privacy.partition_selection import (
    Partitions,
    PartitionSelection,
    released,
    unit_weights,
)
from synthrec.privacy.plan import Plan

Block = TypeVar("Block", covariant=True)
Arrays = dict[str, np.ndarray]
Vectors = Callable[[Any], Any]  # block of users -> matrix, dense or csr, a row for each user


class Users(Protocol[Block]):
    """A bounded log, wherever it lies: its users, each whole in one block, at least one block."""

    def blocks(self) -> Iterator[Block]:
        """All users."""


class PaidStore(Protocol):
    """What a training that died is continued from; see `model.checkpoint`."""

    def charged_steps(self, entries: tuple[Entry, ...], *, plan: Plan) -> int:
        """How many steps are spent. Raises BudgetError where what is kept and what was charged do
        not agree.
        """

    def measured(self, name: str) -> Measurement | None:
        """A measurement that was kept."""

    def undrawn(self, name: str, entries: Sequence[Entry]) -> Entry | None:
        """The entry of one that was charged last and whose noise was surely never drawn."""

    def make_room(self, name: str, *, size: int) -> None:
        """Room for one, before it is charged. Raises OSError."""

    def drawing(self, name: str) -> AbstractContextManager[None]:
        """Inside, its noise is drawn, once for its charge, and kept; a request to end waits until
        then.
        """

    def keep(self, name: str, measurement: Measurement) -> None:
        """Keep one that was just drawn."""

    def state(self, name: str) -> Arrays | None:
        """Released or post-processed arrays that were kept."""

    def keep_state(self, name: str, arrays: Arrays) -> None:
        """Keep some."""


class Session:
    """One training's way to the log. `heard` is told the name of each measurement that has been
    paid for.
    """

    def __init__(
        self, plan: Plan, *, ledger: Ledger, charge: Charge, noise: Noise | None = None
    ) -> None:
        self.plan, self.ledger, self.charge = plan, ledger, charge
        self.heard: Callable[[str], None] = lambda name: None
        self.charged_steps = 0  # of the critic's training, also by a run that died
        self.drawn_steps = 0
        self._noise: Noise = SystemNoise() if noise is None else noise
        self._store: PaidStore | None = None
        self._asked, self._due = set[str](), False

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        *,
        plan: Plan,
        source: str,
        release_id: str,
        kind: Kind,
        cap: float,
        **options: Any,
    ) -> Iterator[Self]:
        """Hold the source's ledger and spend by `plan` for one release; nobody else can spend
        meanwhile.

        Raises: BudgetError if another process holds it, or with what of the plan is not charged yet
        the source's releases exceed `cap`; `internal` runs are no releases.
        """
        with Ledger.open(path) as ledger:
            charge = Charge(
                source=source, release_id=release_id, kind=kind, planned=plan.runs, delta=plan.delta
            )
            if kind != "internal":
                left = plan.events_after(events_of(ledger.of_release(release_id)))
                require_budget(
                    ledger,
                    source=source,
                    events=left,
                    extra_delta=plan.extra_delta,
                    delta=plan.delta,
                    cap=cap,
                )
            yield cls(plan, ledger=ledger, charge=charge, **options)

    def continue_from(self, store: PaidStore) -> None:
        """Read what `store` holds instead of paying again, and keep what is paid for. Raises
        BudgetError; see `PaidStore.charged_steps`.
        """
        self.charged_steps = self.drawn_steps = store.charged_steps(
            self.ledger.of_release(self.charge.release_id), plan=self.plan
        )
        self._store = store

    def noisy_sum(
        self,
        name: str,
        users: Users[Any],
        vectors: Vectors,
        *,
        size: int,
        add_up: Callable[..., np.ndarray] | None = None,
    ) -> Measurement:
        """A planned sum over users, clipped to its norm, with its noise.

        Shapes:
            vectors(block) is [users of the block, any] -> values float64[size].

        Args:
            add_up: `lattice_sum` (size = length of a row; the default), or `lattice_pairs` (size =
            pairs of a row's entries).
        """
        plan = self.plan.measurement(name)
        measured = self._store.measured(name) if self._store else None
        if measured is None:
            measured = self._sum(
                plan,
                lambda: map(vectors, users.blocks()),
                size=size,
                add_up=add_up,
                store=self._store,
            )
        if measured.values.shape != (size,) or measured.noise_std != plan.noise_std:
            raise ReleaseError(
                "a training is continued from a whole checkpoint",
                found="a measurement of another size or noise",
                remedy="Start a new one; what this one was charged is spent.",
            )
        self.heard(name)
        return measured

    def histogram(self, name: str, read: Callable[[], Iterable[Any]], *, size: int) -> Measurement:
        """A planned look at an open column over a public grid; `read` gives blocks of users' rows
        and is called when it is paid.
        """
        return self._sum(self.plan.opening(name), read, size=size)

    def select_partitions(self, name: str, read: Callable[[], KeySets]) -> Partitions:
        """A planned look at which values enough users hold; see `opening`. `read` is called when it
        is paid.

        Guarantees: for adding or removing one row of one block; each user in one row of one block
        only. How often a row names a value does not count, and of a row longer than the plan's
        `most_keys` the rest does not.
        """
        plan = self.plan.opening(name)
        assert plan.most_keys is not None, "a union needs a bound"
        entry = self._pay(plan)
        sets = read()
        total = np.zeros(len(sets.keys), dtype=np.int64)
        for block in sets.blocks:
            total += lattice_sum(
                unit_weights(block, most_keys=plan.most_keys), norm=plan.sensitivity
            )
        held = np.flatnonzero(total)  # what nobody holds has no noise, and is never released
        weights = self._noised(plan, total[held]) if len(held) else np.zeros(0)
        return released([sets.keys[int(place)] for place in held], weights, plan=plan, entry=entry)

    def critic_batches(self, users: Users[Any], vectors: Vectors) -> Iterator[np.ndarray]:
        """The rows of the users whom each step's coins drew, for every planned step that is not
        charged yet.

        A block of steps is charged ahead (`plan.BLOCK` at most). Each batch is answered by one
        `noisy_gradient`, also an empty one.

        Shapes:
            vectors(block) is [users of the block, inputs] -> each [any number of users, inputs].
        """
        training, rows = self.plan.training, None
        assert training is not None, "a plan without steps"
        for count in training.blocks(after=self.charged_steps):
            self.ledger.charge(self.charge.entry(mechanism="game", event=training.event(count)))
            self.charged_steps += count
            if rows is None:
                rows = np.concatenate([vectors(block) for block in users.blocks()])
                batches = self._noise.batches(
                    len(rows),
                    sampling_rate=training.sampling_rate,
                    steps=training.steps - self.drawn_steps,
                )
            for _ in range(count):
                if self._due:
                    raise PlanError(
                        "every batch is answered by one gradient",
                        found="none for the last one",
                        remedy="Report this bug.",
                    )
                batch, self._due = next(batches), True
                self.drawn_steps += 1
                yield rows[batch]

    def noisy_gradient(self, summed: np.ndarray) -> np.ndarray:
        """What is released of the last batch: the sum of its users' gradients, each clipped to the
        plan's norm, with the planned noise.

        Shapes:
            float64[weights] -> float64[weights].
        """
        training = self.plan.training
        if training is None or not self._due:
            raise PlanError(
                "noise is drawn once for each charge",
                found="a gradient of no batch",
                remedy="Report this bug.",
            )
        self._due = False
        return self._noise.gradient(summed, scale=training.noise_multiplier * training.clip_norm)

    def recall(self, name: str) -> Arrays | None:
        """What was kept by that name; nothing in a new training."""
        return self._store.state(name) if self._store else None

    def keep(self, name: str, arrays: Arrays) -> None:
        """Keep released or post-processed arrays, for a training that dies."""
        if self._store:
            self._store.keep_state(name, arrays)

    def epsilon(self) -> float:
        """What this training has charged so far: public, the ledger says it."""
        release_id = self.charge.release_id
        mine = [entry for entry in self.ledger.entries if entry.release_id == release_id]
        return epsilon_of(mine, delta=self.plan.delta)

    def _sum(
        self,
        plan: GaussianSum,
        read: Callable[[], Iterable[Any]],
        *,
        size: int,
        add_up: Callable[..., np.ndarray] | None = None,
        store: PaidStore | None = None,
    ) -> Measurement:
        before = None
        if store:
            before = store.undrawn(plan.name, self.ledger.of_release(self.charge.release_id))
            store.make_room(plan.name, size=size)
        entry = self._pay(plan, before=before)
        total = np.zeros(size, dtype=np.int64)
        for block in read():
            total += (add_up or lattice_sum)(block, norm=plan.sensitivity)
        with store.drawing(plan.name) if store else nullcontext():
            measured = Measurement(
                values=self._noised(plan, total), noise_std=plan.noise_std, entry=entry
            )
            if store:
                store.keep(plan.name, measured)
        return measured

    def _noised(self, plan: GaussianSum, total: np.ndarray) -> np.ndarray:
        return self._noise.lattice(plan.name, total, scale=plan.noise_multiplier * LATTICE) * (
            plan.sensitivity / LATTICE
        )

    def _pay(self, plan: GaussianSum, *, before: Entry | None = None) -> Entry:
        """Charge a planned sum, which may be asked once; `before` is its entry if a run that died
        was charged for it.
        """
        if plan.name in self._asked:
            raise PlanError(
                "each planned measurement is asked once",
                found=f"{plan.name} again",
                remedy="Report this bug.",
            )
        self._asked.add(plan.name)
        entry = self.charge.entry(
            mechanism=plan.name,
            event=plan.event,
            extra_delta=plan.extra_delta if isinstance(plan, PartitionSelection) else 0.0,
        )
        if before is None:
            return self.ledger.charge(entry)
        if entry.sealed(previous=before.previous, charged_utc=before.charged_utc) != before:
            raise BudgetError(
                "what a training continues from must be paid for",
                found="an entry of another noise or account",
                remedy="Start a new one; what this one was charged is spent.",
            )
        return before
