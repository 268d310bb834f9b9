"""mechanism.json: what the conformance suite found, in the words that the suite has; none at all is
fine.

Guarantees: each line is one of the suite's questions, asked once, its figures apart; nothing is
evaluated. Whether the suite was run and found these figures nobody can see from the file: a
recipient runs `synthrec verify --mechanism RELEASE` on an installation of their own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from synthrec.conformance.record import Check, Conformance
from synthrec.errors import SynthrecError
from synthrec.inspection.findings import Part
from synthrec.inspection.record import PATTERNS
from synthrec.model.format import Words
from synthrec.privacy.mechanisms import GaussianSum
from synthrec.report.record import read_record
from synthrec.storage import read_bounded

MECHANISM = "mechanism.json"
LARGEST = 1 << 20
SUBJECT = "the plan of this release on a simulated log"
NUMBER = re.compile(r"\d(?:[\d,.]{0,15}\d)?(?:e[+-]?\d{1,3})?")
OF_MEASUREMENTS = {  # (topic, name) -> what is asked; numbers are # here
    (
        "sensitivity",
        "{}",
    ): "longest move of the clipped sum over # neighbours, in declared norms; infinite if others' parts moved",
    ("noise", "{}"): "scale of # draws, in noise as charged",
    ("noise", "{} is fresh"): "correlation of each draw of its noise with the next",
}
OF_LOOKS = {
    **OF_MEASUREMENTS,
    ("sensitivity", "{}"): "longest move of the clipped sum over # neighbours, in declared norms",
    ("noise", "{} is drawn once"): "draws for one charge, of a look that comes out far below #",
    (
        "noise",
        "{}, one user's own",
    ): "times of # that something was named which one user alone holds",
}
_RAW = "longest move over # vectors: NaN, infinite, #, # norms, # events; in declared norms"
_LEANS = "mean of # single draws on nothing, in standard errors"
_COINS = "spread, in that of independent coins"
_RATE = "inclusions over the planned number"
_SPARE = (
    "scale of what collects on weights that no loss touches, in noise as charged; every step counts"
)
_PROCESS = "correlation with what a second process draws that starts alike"
_WHOLE = "looks, measurements and steps of the plan that the ledger lacks, or has otherwise"
_AHEAD = "steps that ran before the ledger on disk was charged, or more than a block ahead"
_AS_CHARGED = "largest part by which the noise that a mechanism asked for differs from its entry in the ledger"
_RATE_CHARGED = "part by which the rate of the coins differs from the ledger's"
_CONSTANTS = "steps whose clip norm, denominator or number of fakes is not the plan's"
_COINED = "times that coins were asked for another number of users than the log has"
_DIFFER = "released things that differ"
_LEAVING = (
    "an ordinary user",
    "a third of all users",
    "a user: no valid events",
    "a user: longest",
    "a user: unique item",
    "a user: extreme value",
    "a user: not a number",
)
QUESTIONS = {
    **{("replay", f"without {who}"): _DIFFER for who in _LEAVING},
    ("sensitivity", "lattice_sum of raw vectors"): _RAW,
    ("sensitivity", "lattice_pairs of raw vectors"): _RAW,
    (
        "sensitivity",
        "lattice_sum of cells in parts",
    ): "longest move over # vectors whose cells come in # parts of both signs; in declared norms",
    (
        "sensitivity",
        "everybody counts",
    ): "measurements whose sum over two blocks of users is not the sum over two parts of them",
    (
        "sensitivity",
        "critic step, weights x#",
    ): "longest move of the clipped sum of gradients when one of # users leaves, in clip norms",
    (
        "sensitivity",
        "critic step, # events",
    ): "move of the clipped sum by a user of # events, in clip norms",
    (
        "sensitivity",
        "critic step, denominator",
    ): "change of one user's pull when the batch is ten times larger, relative",
    (
        "sensitivity",
        "critic step, fakes",
    ): "change of the fakes' pull beside nobody, some, and many clipped users, relative",
    (
        "noise",
        "drawn once, whatever comes out",
    ): "draws that were not charged, of sums that came out far below #, and far above",
    ("noise", "noise of sums leans nowhere"): _LEANS,
    ("noise", "noise of training leans nowhere"): _LEANS,
    ("noise", "noise of training of another process"): _PROCESS,
    ("noise", "coins of another process"): _PROCESS,
    ("noise", "noise of sums of another process"): _PROCESS,
    (
        "noise",
        "bytes behind noise of training",
    ): "bytes of the operating system that a number depends on; # if it depends on anything else",
    (
        "noise",
        "bytes behind coins",
    ): "bytes of the operating system that the coins of a training depend on; # if they depend on anything else",
    (
        "noise",
        "noise of sums never meets",
    ): "of # draws of noise, those that were there before; seeds of up to # bits would meet",
    **{
        ("noise", f"critic step, body.#.{part}"): "scale on one tensor, in planned noise"
        for part in ("weight", "bias")
    },
    (
        "noise",
        "critic step, tensors are apart",
    ): "largest correlation of the noise of two tensors, over the largest that chance allows",
    ("noise", "critic step"): _SPARE,
    ("noise", "critic step, mostly empty batches"): _SPARE,
    ("noise", "critic steps are fresh"): "largest correlation of the noise of two steps",
    (
        "noise",
        "seeds repeat nothing",
    ): "correlation of the first noise of two trainings for which every library was seeded alike",
    ("sampling", "sampler: rate"): _RATE,
    ("sampling", "training: rate"): _RATE,
    **{
        ("sampling", f"{whose}: {what}"): _COINS
        for whose in ("sampler", "training")
        for what in ("inclusions of a user", "batch sizes")
    },
    (
        "sampling",
        "sampler: pairs",
    ): "two users, or one user in two steps, who take part together, over the planned number",
    (
        "sampling",
        "steps see the batch",
    ): "steps that were given another number of users than were drawn",
    (
        "sampling",
        "empty batches count",
    ): "steps of a training on three users, whose batches are sometimes empty",
    (
        "canaries",
        "lower bound on training's epsilon",
    ): "from # canaries at ten clip norms, half of them in; could have shown up to #, at delta #",
    **{
        ("accounting", f"ledger is whole, {whose}"): _WHOLE
        for whose in ("many users", "three users")
    },
    **{("accounting", f"paid ahead, {whose}"): _AHEAD for whose in ("many users", "three users")},
    **{
        ("accounting", f"noise as charged, {whose}"): _AS_CHARGED
        for whose in ("many users", "three users")
    },
    **{
        ("accounting", f"rate as charged, {whose}"): _RATE_CHARGED
        for whose in ("many users", "three users")
    },
    **{
        ("accounting", f"constants as planned, {whose}"): _CONSTANTS
        for whose in ("many users", "three users")
    },
    **{
        ("accounting", f"coins for everybody, {whose}"): _COINED
        for whose in ("many users", "three users")
    },
    (
        "accounting",
        "claim is no less than it must be",
    ): "epsilon of the recorded ledger, less a lower bound from its lines by our own arithmetic, #",
    (
        "accounting",
        "sums compose in closed form",
    ): "epsilon of the sums over everybody, less that of one Gaussian as precise as all, #",
    (
        "accounting",
        "one draw for each charge",
    ): "draws of noise that were not charged, or charges whose noise was not drawn, in all releases above",
    ("accounting", "within what was asked for"): "epsilon of the recorded ledger",
    ("accounting", "second accountant agrees"): "epsilon by PLD, #, less by PRV, #",
    ("accounting", "Renyi accounting is above"): "epsilon by RDP, #, less the claim",
    (
        "accounting",
        "a threshold's delta counts",
    ): "what epsilon grows by when an entry holds a third of delta besides",
}


def mechanism_of(share: Path, *, words: Words | None) -> tuple[Conformance | None, list[Part]]:
    """The record if there is one, with a line for each of its topics' checks and one for the rest."""
    path = share / MECHANISM
    if not path.exists() and not path.is_symlink():
        return None, []
    try:
        content = read_bounded(path, most=LARGEST)
        record = read_record(path, kind=Conformance)
    except (SynthrecError, OSError) as error:
        return None, [
            Part(
                MECHANISM,
                "the file",
                "",
                "",
                str(error) if isinstance(error, SynthrecError) else "not readable",
            )
        ]
    problem = _about(record, words=words)
    if content != record.model_dump_json(indent=2).encode() + b"\n":
        problem = "bytes that synthrec does not write"
    known = known_questions(
        *(() if words is None else (words.plan.measurements, words.plan.openings))
    )
    seen: set[tuple[str, str]] = set()
    parts = [Part(MECHANISM, "the record", f"{len(record.checks)} checks", "public", problem)]
    for check in record.checks:
        wrong = _wrong(check, known=known, seen=seen)
        parts.append(
            Part(
                MECHANISM,
                check.name if (check.topic, _blanked(check.name)) in known else "",
                check.topic,
                "simulated",
                wrong,
            )
        )
        seen.add((check.topic, check.name))
    return record, parts


def known_questions(
    measurements: Sequence[GaussianSum] = (), looks: Sequence[GaussianSum] = ()
) -> dict[tuple[str, str], str]:
    """All that the suite asks of a plan with these measurements and looks."""
    replayed = {
        ("replay", f"looks, without {who}"): "settled schemas that differ"
        for who in _LEAVING
        if looks
    }
    return (
        QUESTIONS
        | replayed
        | {
            (topic, _blanked(name.format(each.name))): asked
            for plans, questions in ((measurements, OF_MEASUREMENTS), (looks, OF_LOOKS))
            for each in plans
            for (topic, name), asked in questions.items()
        }
    )


def _about(record: Conformance, *, words: Words | None) -> str | None:
    if (
        record.subject != SUBJECT
        or re.fullmatch(PATTERNS["synthrec_version"], record.synthrec_version) is None
    ):
        return "words that synthrec does not write"
    if words is not None and (record.model, record.epsilon, record.delta) != (
        words.plan.model,
        words.plan.epsilon,
        words.plan.delta,
    ):
        return "another plan than that of generator.json"
    return (
        None
        if 0 <= record.seconds < math.inf and record.checks
        else "no time that a suite takes, or nothing checked"
    )


def _wrong(
    check: Check, *, known: dict[tuple[str, str], str], seen: set[tuple[str, str]]
) -> str | None:
    asked = known.get((check.topic, _blanked(check.name)))
    if not check.passed and asked is not None:
        return f"a check that failed: found {check.found}, allowed {check.allowed}"
    if asked is None or _blanked(check.asked) != asked or (check.topic, check.name) in seen:
        return "no question of the suite"
    return (
        None
        if check.low <= check.statistic <= check.high
        else "passed, though its number is out of its range"
    )


def _blanked(text: str) -> str:
    return NUMBER.sub("#", text)
