"""What an audit says of a few copied people, of single columns on other people's items, and of
strangers.

    python -m benchmarks.tails simulated-1500 ml-100k --draws 3
    python -m benchmarks.tails simulated-1500 ml-100k --nulls 40

Roles are drawn among a log's training users (members, holdout, reference, strangers; 40, 20, 10, 30
%); strangers pose as synthetic users, and some of them make room for what leaks. Hours of use with
two decimals, a day of birth and a place, which nobody else has to do with, are added where a row
needs them. Prints Markdown, kept in benchmarks/audit_tails.md.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from benchmarks.logs import load
from synthrec.audit.attacks import run_attacks
from synthrec.audit.attacks.battery import AttackSuite
from synthrec.audit.attacks.exact import attacked_columns
from synthrec.audit.attacks.metrics import strongest
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.record import Controls, Membership
from synthrec.audit.splits import AuditSplits
from synthrec.audit.verdict import Conclusion, conclude, policy
from synthrec.data.eventlog import EventLog, exact

PARTS = ("trained", "holdout", "reference", "synthetic")
ROLES = (0.4, 0.6, 0.7)
NO_CONTROLS = Controls(leaks=(), power=None, blind=(), bootstrap_flagged=None)


def cast(log: EventLog, *, items: int, rng: np.random.Generator) -> AuditSplits:
    """Everybody by chance."""
    order = rng.permutation(log.users)
    ends = [int(share * log.users) for share in ROLES]
    logs = dict(zip(PARTS, (log.select(part) for part in np.split(order, ends)), strict=True))
    return AuditSplits(
        coined=np.zeros(logs["trained"].users, dtype=bool),
        test=logs["reference"],
        train_whole=logs["trained"],
        items=items,
        events_per_user=10_000,
        **logs,
    )


def with_columns(people: AuditSplits, *, rng: np.random.Generator) -> AuditSplits:
    """Everybody with hours of use, a day of birth and a place; without ratings and times."""

    def told(log: EventLog) -> EventLog:
        hours = np.round(rng.lognormal(1, 1, len(log.item)), 2)
        born, place = rng.integers(0, 36_500, log.users), rng.integers(0, 500, log.users)
        bins = {"born": (born // 3_650).astype(np.int16), "place": place.astype(np.int16)}
        return replace(
            log,
            rating=None,
            time=None,
            marks={"hours": (hours > 3).astype(np.int16), exact("hours"): hours},
            attributes=bins | {exact("born"): born + 0.0},
        )

    return replace(people, **{part: told(getattr(people, part)) for part in PARTS})


def borrowed(strangers: EventLog, *, members: EventLog, column: str) -> EventLog:
    """Strangers' items with members' values of one column, as far as both go."""
    count = np.minimum(strangers.activity, members.activity)

    def first(log: EventLog) -> EventLog:
        place = np.arange(len(log.item)) - np.repeat(log.offsets[:-1], log.activity)
        return log.keep(place < np.repeat(count, log.activity))

    strangers, members = first(strangers), first(members)
    name = {"hours": "marks", "born": "attributes"}.get(column, column)
    return replace(strangers, **{name: getattr(members, name)})


def leaking(
    people: AuditSplits, users: int, *, rng: np.random.Generator, column: str | None = None
) -> AuditSplits:
    """So many synthetic users are members, or have their values of one column."""
    chosen = rng.permutation(people.trained.users)[:users]
    members, strangers = people.trained.select(chosen), people.synthetic
    gone = strangers.select(np.arange(len(chosen)))
    taken = members if column is None else borrowed(gone, members=members, column=column)
    kept = strangers.select(np.arange(len(chosen), strangers.users))
    return replace(people, synthetic=EventLog.concat([kept, taken]))


def concluded(people: AuditSplits, *, rng: np.random.Generator) -> Conclusion:
    """All attacks and risks, no controls: whether there is a leak does not depend on them."""
    suite = AttackSuite.of(people, fpr=0.1, resamples=20)
    found = suite.attack(people.synthetic, reference=people.reference, rng=rng)
    attacks, copied = suite.with_copies(found.attacks, replays=found.replays, policy=policy())
    membership = Membership(
        attacks=attacks,
        headline=strongest(attacks).name,
        bound=None,
        controls=NO_CONTROLS,
        copied=int(copied.sum()),
        columns=attacked_columns(people.synthetic, found.replays),
    )
    told = conclude(membership, lower_bound=None, disclosure=None, policy=policy())
    if told.verdict.exit_code == 1:  # so it is with any risks
        return told
    risks = measure_disclosure(people, effort="quick", policy=policy(), rng=rng)
    return conclude(membership, lower_bound=None, disclosure=risks, policy=policy())


def audited(people: AuditSplits, *, rng: np.random.Generator) -> Conclusion:
    """The same with controls."""
    found = run_attacks(people, bound=None, policy=policy(), effort="quick", rng=rng)
    risks = measure_disclosure(people, effort="quick", policy=policy(), rng=rng)
    return conclude(found.membership, lower_bound=None, disclosure=risks, policy=policy())


def rows() -> dict[str, Callable[[AuditSplits, np.random.Generator], AuditSplits]]:
    """What is done to strangers, by its name."""

    def copies(
        share: float, column: str | None = None
    ) -> Callable[[AuditSplits, np.random.Generator], AuditSplits]:
        def made(people: AuditSplits, rng: np.random.Generator) -> AuditSplits:
            if column in ("hours", "born"):
                people = with_columns(people, rng=rng)
            users = max(1, round(share * people.synthetic.users))
            return leaking(people, users, rng=rng, column=column)

        return made

    def bare(people: AuditSplits, *columns: str) -> AuditSplits:
        logs = {part: replace(getattr(people, part), **dict.fromkeys(columns)) for part in PARTS}
        return replace(people, **logs)

    found = {
        f"{words} verbatim{place}": lambda people, rng, share=share, gone=gone: copies(share)(
            bare(people, *gone), rng
        )
        for place, gone in (
            ("", ()),
            (", no times", ("time",)),
            (", items alone", ("time", "rating")),
        )
        for words, share in (("5 %", 0.05), ("1 %", 0.01), ("one", 0.0))
    }
    names = (("time", "exact times"), ("hours", "exact numbers"), ("born", "attribute rows"))
    for column, words in names:
        for share in (1.0, 0.05):
            found[f"{words} of members on {share:.0%} of others' items"] = copies(share, column)
    found["holdout users for synthetic ones"] = lambda people, rng: replace(
        people, synthetic=people.holdout
    )
    return found


def main() -> None:
    """Make, audit, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("logs", nargs="+")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--rows", default="", help="only rows whose name has these words")
    parser.add_argument("--nulls", type=int, default=0, help="only strangers, so many drawings")
    asked = parser.parse_args()
    for name in asked.logs:
        split, started = load(name, seed=0), time.process_time()
        worlds = [
            np.random.default_rng(40_000 + draw) for draw in range(asked.nulls or asked.draws)
        ]

        def people(rng: np.random.Generator) -> AuditSplits:
            return cast(split.bounded, items=split.catalogue.size, rng=rng)  # noqa: B023

        if asked.nulls:
            said = [concluded(people(rng), rng=rng) for rng in worlds]
            leaks = [each.reason for each in said if each.verdict.exit_code == 1]
            print(f"{name}: {len(leaks)} of {asked.nulls} null audits LEAK. {' '.join(leaks)}")
            continue
        print(f"### {name}\n\n| synthetic users | LEAK | reason of the first |\n|---|---:|---|")
        found = {**rows(), "strangers": lambda people, _: people}
        for words, leak in found.items():
            if asked.rows not in words:
                continue
            casts = [leak(people(rng), rng) for rng in worlds]
            said = [concluded(each, rng=rng) for each, rng in zip(casts, worlds, strict=True)]
            count = Counter(each.verdict.exit_code for each in said)[1]
            verdict, reason = said[0] if count else audited(casts[0], rng=worlds[0])
            print(f"| {words} | {count} of {len(said)} | {verdict}: {reason} |", flush=True)
        print(f"\n{time.process_time() - started:.0f} CPU seconds.\n", flush=True)


if __name__ == "__main__":
    main()
