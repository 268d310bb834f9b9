"""Every question of fidelity, asked of equally many synthetic, real and floor users.

Distances of histograms fall with the number of users, by chance alone. So nothing of different size
is compared: the real users are halved at random, and one half A is compared with the other half,
with as many synthetic users, and with as many users of the floor. This is done DRAWS times; a row
gives the means over the draws, and the largest distance of two halves. A distance at or below the
halves cannot be told from other real users by that question at that size; one above their largest
can. (Of other users of the simulator, 400 beside 400 and 30 times, 5 % of all rows lay above.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthrec.audit import profiles
from synthrec.audit.fidelity import behaviour, marginals, structure
from synthrec.audit.fidelity.question import Question, Sample
from synthrec.audit.record import Fidelity
from synthrec.data.eventlog import EventLog
from synthrec.data.schema import Schema

DRAWS = 10
FEW_USERS = 1_000


def measure_fidelity(
    synthetic: EventLog,
    *,
    real: EventLog,
    floor: EventLog | None,
    schema: Schema,
    items: int,
    events_per_user: int,
    rng: np.random.Generator,
) -> tuple[Fidelity, ...]:
    """One row a question that both logs can answer; none for logs of fewer than two users.

    `real` is best the unbounded log of the users who trained: what a question needs cut at K, it
    cuts, in all logs alike. `floor` is the log of a method that knows the marginals only, made
    under the same epsilon; without one, the items of real users are dealt anew across all events,
    and only questions about what belongs together have a floor.

    Guarantees: reads a private log; its figures are not differentially private (rule: audits are
    not private).
    """
    if any(len(log.offsets) < 3 for log in (synthetic, real, floor) if log is not None):
        return ()
    questions = questions_about(schema, real=real, other=synthetic, items=items)
    floored = (
        {question.name for question in questions if question.linked}
        if floor is None
        else {
            question.name
            for question in questions_about(schema, real=real, other=floor, items=items)
        }
    )
    rounds = []
    for _ in range(DRAWS):
        samples = _samples(
            synthetic, real=real, floor=floor, events_per_user=events_per_user, rng=rng
        )
        answers = {
            name: _answers(sample, questions, asked=floored if name == "floor" else None)
            for name, sample in samples.items()
        }
        rounds.append(
            [
                _compared(question, {name: found[place] for name, found in answers.items()})
                for place, question in enumerate(questions)
            ]
        )
        users = len(samples["half"].whole.offsets) - 1
    return tuple(
        _row(question, [each[place] for each in rounds], users=users)
        for place, question in enumerate(questions)
    )


def questions_about(
    schema: Schema, *, real: EventLog, other: EventLog, items: int
) -> list[Question]:
    """What the columns of both logs allow to ask, topic after topic."""
    rated = all(log.rating is not None for log in (real, other))
    timed = schema.time is not None and all(log.time is not None for log in (real, other))
    marked = set(real.marks) & set(other.marks)
    return [
        *marginals.popularity_questions(items),
        *marginals.activity_questions(),
        *(marginals.ratings_questions(items) if rated else ()),
        *(behaviour.hour_questions(schema.time) if timed and schema.time is not None else ()),
        *(behaviour.sessions_questions() if timed else ()),
        *(behaviour.events_questions(schema) if set(schema.marks) <= marked else ()),
        *(behaviour.visits_questions(schema, timed=timed) if set(schema.marks) <= marked else ()),
        *marginals.attributes_questions(real, other=other, schema=schema),
        *structure.cooccurrence_questions(real, items=items),
        *structure.spectrum_questions(items),
        *structure.variety_questions(items),
    ]


def _samples(
    synthetic: EventLog,
    *,
    real: EventLog,
    floor: EventLog | None,
    events_per_user: int,
    rng: np.random.Generator,
) -> dict[str, Sample]:
    """Equally many users of each log, by chance."""
    one, other = np.array_split(rng.permutation(real.users), 2)
    size = min(len(other), *(log.users for log in (synthetic, floor) if log is not None))
    drawn = {
        "half": real.select(one[:size]),
        "other half": real.select(other[:size]),
        "synthetic": synthetic.select(rng.permutation(synthetic.users)[:size]),
    }
    drawn["floor"] = (
        dealt_anew(drawn["other half"], rng=rng)
        if floor is None
        else floor.select(rng.permutation(floor.users)[:size])
    )
    return {
        name: _sample(log, events_per_user=events_per_user, rng=rng) for name, log in drawn.items()
    }


def _sample(log: EventLog, *, events_per_user: int, rng: np.random.Generator) -> Sample:
    cut = profiles.cut(log, events_per_user=events_per_user, rng=rng)
    return Sample(whole=log, cut=cut, few=cut.select(np.arange(min(FEW_USERS, cut.users))))


def dealt_anew(log: EventLog, *, rng: np.random.Generator) -> EventLog:
    """Items, each with its rating, dealt anew across the events of all users: all marginals, and
    nothing of who likes what.
    """
    order = rng.permutation(len(log.item))
    return EventLog(
        offsets=log.offsets,
        item=np.asarray(log.item)[order],
        time=log.time,
        attributes=log.attributes,
        marks=log.marks,
        rating=None if log.rating is None else np.asarray(log.rating)[order],
    )


def _answers(sample: Sample, questions: list[Question], *, asked: set[str] | None) -> list[Any]:
    """The sample's answer to each question, or to those asked; questions that share an `of` are
    answered at once.
    """
    known: dict[Any, Any] = {}
    for question in questions:
        if question.of not in known and (asked is None or question.name in asked):
            known[question.of] = question.of(sample)
    return [known.get(question.of) for question in questions]


def _compared(question: Question, answers: dict[str, Any]) -> dict[str, float | None]:
    """All figures of one draw; answers are too large to keep."""
    half, value = answers["half"], question.value
    found: dict[str, float | None] = {
        name: None if answers[name] is None else question.apart(answers[name], half)
        for name in ("synthetic", "other half", "floor")
    }
    return found | {
        "real": None if value is None else value(half),
        "value": None if value is None else value(answers["synthetic"]),
    }


def _row(question: Question, draws: list[dict[str, float | None]], *, users: int) -> Fidelity:
    def of(name: str) -> list[float]:
        return [found for each in draws if (found := each[name]) is not None]

    def mean(name: str) -> float | None:
        return float(np.mean(found)) if (found := of(name)) else None

    distances = of("synthetic")
    return Fidelity(
        topic=question.topic,
        name=question.name,
        real=mean("real"),
        synthetic=mean("value"),
        distance=float(np.mean(distances)),
        halves=mean("other half"),
        floor=mean("floor"),
        users=users,
        draws=len(draws),
        distance_range=(min(distances), max(distances)),
        halves_highest=max(of("other half")),
        method=question.method,
    )
