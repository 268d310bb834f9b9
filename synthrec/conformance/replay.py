"""Replay: with every answer frozen, a release made of a log and one made without some user are the
same to the last bit.

Frozen is what mechanisms release and nothing else: sums, looks and critic steps reply what they
replied before, whatever their real batches are. What then still differs (vocabulary, encoders,
denominators, a generator that saw a batch, schedule, a figure of the record, synthetic events, a
page, the ledger, a printed line) has come from the log unpaid. Each whole release is made: from a
table to its pages.

What no difference shows is how often noise was drawn for one charge; that is counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch

from synthrec.conformance.answers import CHARGE, QUICK, FrozenNoise, Replies
from synthrec.conformance.open_domains import Looking
from synthrec.conformance.record import Check, judged
from synthrec.conformance.subject import AUDIT_SHARE, KEY, Subject
from synthrec.data.eventlog import EventLog
from synthrec.data.open_domains import reopened
from synthrec.model.dp_sgd import PrivateCritic
from synthrec.model.train import Means
from synthrec.privacy.ledger import Ledger
from synthrec.privacy.session import Session
from synthrec.progress import Advance, Progress
from synthrec.training import Instruments

SYNTHETIC_USERS = 300
MOMENT = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\+00:00|Z| UTC)?"
)  # when the release was made: public
Released = dict[str, bytes]
Release = Callable[..., None]  # `pipeline.simulated_release`


class RecordingProgress(Progress):
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


@dataclass(frozen=True)
class Replayed:
    """What a release let out, by name, and by mechanism how often its noise was drawn, over what
    was charged for it.
    """

    found: Released
    overdrawn: Counter[str]


def replay(
    subject: Subject, *, release: Release, kinds: Iterable[str] | None = None
) -> list[Check]:
    """Per kind of neighbour how many released things differ (none may), and whether others keep
    their roles; then draws over charges.
    """
    replies = Replies()
    whole, roles = (
        whole_release(subject, subject.events, replies=replies, release=release),
        _roles(subject, subject.events),
    )
    checks, overdrawn = [], whole.overdrawn
    for kind in subject.edge_case_users if kinds is None else kinds:
        rest = subject.without(kind)
        other = whole_release(subject, rest, replies=replies, release=release)
        differing, overdrawn = differences(whole.found, other.found), overdrawn + other.overdrawn
        differing += (
            ["roles of others"]
            if any(
                roles.get(person, role) != role for person, role in _roles(subject, rest).items()
            )
            else []
        )
        checks.append(
            judged(
                "replay",
                "without {who}",
                statistic=len(differing),
                low=0,
                high=0,
                who=kind,
                detail=": " + ", ".join(differing) if differing else "",
            )
        )
    return [
        *checks,
        judged(
            "accounting",
            "one draw for each charge",
            statistic=sum(overdrawn.values()),
            low=0,
            high=0,
        ),
    ]


def differences(one: Released, other: Released) -> list[str]:
    """Names of what is not the same in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def whole_release(
    subject: Subject, events: pd.DataFrame, *, replies: Replies, release: Release
) -> Replayed:
    """A release of these events with all answers frozen: files, the source's ledger, printed lines,
    constants of critic steps.
    """
    heard, constants, noise = RecordingProgress(), list[Any](), FrozenNoise(replies=replies)
    schema = reopened(subject.schema) if subject.plan.openings else subject.schema
    with TemporaryDirectory(prefix="synthrec-") as scratch:
        source, out = Path(scratch) / "source.jsonl", Path(scratch) / "release"
        source.with_name(f"{source.name}.roles.key").write_bytes(KEY)
        account = {"ledger": str(source), "epsilon_cap": 2 * subject.plan.epsilon}
        schema = schema.model_copy(update={"source": schema.source.model_copy(update=account)})
        release(
            events,
            schema=schema,
            plan=subject.plan,
            out=out,
            audit_share=AUDIT_SHARE,
            synthetic_users=SYNTHETIC_USERS,
            seed=0,
            progress=heard,
            instruments=Instruments(
                means=Means(effort=QUICK, critic=recorded_critic(constants), seed=0),
                open_session=partial(_opened, subject=subject, noise=noise),
                catalogue=lambda _: subject.catalogue,
                require_plan=lambda *_: (
                    None
                ),  # it may be an earlier version's, and is what is checked
            ),
        )
        files = {
            path.name: MOMENT.sub(b"", path.read_bytes().replace(scratch.encode(), b""))
            for path in (out / "share").iterdir()
            if path.name != "manifest.json"
        }  # which is made of the others
        entries = Ledger.read(source).entries
    charged = Counter[str]()
    for entry in entries:
        charged[entry.mechanism] += entry.event.count
    apart = Counter(
        {
            name: abs(noise.draws[name] - charged[name])
            for name in noise.draws.keys() | charged.keys()
        }
    )
    lines = "\n".join(heard.lines).replace(scratch, "")
    return Replayed(
        found=files
        | {
            "ledger": str(entries).encode(),
            "lines": lines.encode(),
            "constants": str(constants).encode(),
        },
        overdrawn=apart,
    )


@contextmanager
def _opened(path: Path, *, subject: Subject, noise: FrozenNoise, **words: Any) -> Iterator[Session]:
    words = words | {"release_id": CHARGE.release_id}
    with Looking.open(path, noise=noise, schema=subject.schema, **words) as session:
        yield session


def recorded_critic(constants: list[Any]) -> type[PrivateCritic]:
    """The installed critic, and a list of the constants that each of its steps ran with."""

    class RecordedCritic(PrivateCritic):
        def step(self, real: torch.Tensor, fake: torch.Tensor) -> None:
            optimizer = self._optimizer
            constants.append(
                (
                    len(fake),
                    optimizer.expected_batch_size,
                    optimizer.max_grad_norm,
                    optimizer.noise_multiplier,
                    optimizer.original_optimizer.param_groups[0]["lr"],
                )
            )
            super().step(real, fake)

    return RecordedCritic


def _roles(subject: Subject, events: pd.DataFrame) -> dict[bytes, int]:
    """Role of each user, who is known by what they did; not of those at the bound, whose events are
    drawn, or who did the same.
    """
    log: EventLog = subject.read(events, audit_share=AUDIT_SHARE)
    short = np.flatnonzero(log.activity < subject.schema.privacy.events_per_user)
    assert log.role is not None
    found: dict[bytes, int] = {}
    twice = set[bytes]()
    for user in short:
        start, end = log.offsets[user], log.offsets[user + 1]
        person = np.sort(log.item[start:end]).tobytes() + (
            b"" if log.time is None else np.sort(log.time[start:end]).tobytes()
        )
        twice |= {person} & found.keys()
        found[person] = int(log.role[user])
    return {person: role for person, role in found.items() if person not in twice}
