"""Replay: with every answer frozen, a release made of a log and one made without some user are the same to the last bit.

Frozen is what mechanisms release and nothing else: sums and critic steps reply what they replied before, whatever their real batches are.
What then still differs (vocabulary, encoders, denominators, a generator that saw a batch, schedule, file names, ledger, a printed line) has
come from the log unpaid.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthrec.conformance.answers import CHARGE, QUICK, FrozenNoise, Replies
from synthrec.conformance.record import Check, judged
from synthrec.conformance.subject import Subject
from synthrec.data.eventlog import EventLog
from synthrec.model.private_step import PrivateCritic
from synthrec.model.train import Means, train
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.session import Session
from synthrec.progress import Advance, Progress

AUDIT_SHARE = 0.5
Released = dict[str, bytes]


class Heard(Progress):
    """Keeps every line that a person would see."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @contextmanager
    def stage(self, name: str, *, total: int | None = None) -> Iterator[Advance]:
        """One named stage; see `Progress.stage`."""
        self.say(f"{name} of {total}")
        yield lambda count=1, note="": self.say(f"{name} {count} {note}")

    def say(self, line: str) -> None:
        """A line worth reading once."""
        self.lines.append(line)


def replay(subject: Subject, *, kinds: Iterable[str] | None = None) -> list[Check]:
    """One check per kind of neighbour: how many released things differ (none may), and whether others keep their roles."""
    replies = Replies()
    whole, roles = released(subject, subject.read(subject.events), replies=replies), _roles(subject, subject.events)
    checks = []
    for kind in subject.awkward if kinds is None else kinds:
        rest = subject.without(kind)
        differing = differences(whole, released(subject, subject.read(rest), replies=replies))
        differing += ["roles of others"] if any(roles.get(person, role) != role for person, role in _roles(subject, rest).items()) else []
        checks.append(judged("replay", f"without {kind}", statistic=len(differing), low=0, high=0,
                             asked=f"released things that differ{': ' + ', '.join(differing) if differing else ''}"))
    return checks


def differences(one: Released, other: Released) -> list[str]:
    """Names of what is not the same in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def released(subject: Subject, log: EventLog, *, replies: Replies) -> Released:
    """Every byte, name, constant and line that a training on this log would let out, all answers frozen."""
    heard, constants = Heard(), list[Any]()
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        folder, path = Path(scratch) / "share", Path(scratch) / "ledger.jsonl"
        folder.mkdir()
        with Ledger.open(path) as ledger:
            artifact = train(log, catalogue=subject.catalogue, schema=subject.schema, progress=heard,
                             session=Session(subject.plan, ledger=ledger, charge=CHARGE, noise=FrozenNoise(replies=replies)),
                             means=Means(effort=QUICK, critic=_instrumented(constants), seed=0))
        artifact.save(folder)
        files = {file.name: file.read_bytes() for file in sorted(folder.rglob("*"))}
        return files | {"ledger": str(ledger.entries).encode(), "lines": "\n".join(heard.lines).encode(),
                        "constants": str(constants).encode()}


def _instrumented(constants: list[Any]) -> type[PrivateCritic]:
    """The installed critic, and a list of the constants that each of its steps ran with."""

    class Instrumented(PrivateCritic):
        def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
            optimizer = self._optimizer
            constants.append((len(fake), optimizer.expected_batch_size, optimizer.max_grad_norm, optimizer.noise_multiplier,
                              optimizer.original_optimizer.param_groups[0]["lr"]))
            super().step(real, fake)

    return Instrumented


def _roles(subject: Subject, events: pd.DataFrame) -> dict[bytes, int]:
    """Role of each user, who is known by what they did; not of those at the bound, whose events are drawn, or who did the same."""
    log: EventLog = subject.read(events, audit_share=AUDIT_SHARE)
    short = np.flatnonzero(np.diff(log.offsets) < subject.schema.privacy.events_per_user)
    assert log.role is not None
    found: dict[bytes, int] = {}
    twice = set[bytes]()
    for user in short:
        start, end = log.offsets[user], log.offsets[user + 1]
        person = np.sort(log.item[start:end]).tobytes() + (b"" if log.time is None else np.sort(log.time[start:end]).tobytes())
        twice |= {person} & found.keys()
        found[person] = int(log.role[user])
    return {person: role for person, role in found.items() if person not in twice}
