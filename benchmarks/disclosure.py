"""What an intruder learns, and what a lower bound on epsilon shows, of a release and of leaky
copies of it.

    synthrec fit ml-100k.csv.gz --config ml-100k.toml --epsilon 8 --delta 1e-4 --audit-share 0.3
    --out rel100k synthrec sample rel100k --users 1886 --out rel100k/share/events.parquet python -m
    benchmarks.disclosure rel100k --log ml-100k.csv.gz --leaks 1 0.2 0.05

A leaky copy has that share of its synthetic users replaced by training users, a tenth of whose
items are swapped. Prints Markdown, kept in benchmarks/disclosure.md. The figures are of a public
log; of any other they would be private.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from synthrec.audit.attacks import learned
from synthrec.audit.attacks.battery import AttackSuite
from synthrec.audit.attacks.controls import plant
from synthrec.audit.disclosure import measure_disclosure
from synthrec.audit.epsilon_bounds import one_run_lower_bound
from synthrec.audit.record import Disclosure, Figure, LowerBound
from synthrec.audit.splits import AuditSplits
from synthrec.auditing import AuditInputs, collect
from synthrec.progress import Progress
from synthrec.release import Folder

SEED, RESAMPLES = 1, 500


def leaky(people: AuditSplits, *, share: float, rng: np.random.Generator) -> AuditSplits:
    """The same people with another synthetic log."""
    users = people.synthetic.users
    return replace(
        people,
        synthetic=plant(people.trained, synthetic_users=users, share=share, rng=rng).applied_to(
            people.synthetic
        ),
    )


def bounded(people: AuditSplits, *, delta: float, rng: np.random.Generator) -> LowerBound | None:
    """What the label-free attacks' scores prove."""
    battery = AttackSuite.of(people, fpr=0.1, resamples=RESAMPLES)
    scores = battery.attack(people.synthetic, reference=people.reference, rng=rng).scores
    pairs = {
        name: (found[battery.member], found[~battery.member])
        for name, found in scores.items()
        if name != learned.BLEND
    }
    return one_run_lower_bound(pairs, coined=people.coined, delta=delta, rng=rng)


def risk_rows(name: str, found: Disclosure) -> Iterator[str]:
    """One row a risk, and one for replay."""
    for risk in found.risks:
        rates = " | ".join(f"{rate.value:.1%}" for rate in (risk.attack, risk.control, risk.random))
        yield f"| {name} | {risk.name}: {risk.setting} | {rates} | {shown(risk.risk, '.3f')} |"
    replay = found.replay
    yield (
        f"| {name} | replay: mean longest run, items | {shown(replay.members, '.2f')} | {shown(replay.holdout, '.2f')} | | "
        f"longest {replay.longest_member} against {replay.longest_holdout} |"
    )


def shown(figure: Figure, form: str) -> str:
    """Value and interval."""
    return f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def bound_row(name: str, found: LowerBound | None, *, claimed: float) -> str:
    """One row of the second table."""
    if found is None:
        return f"| {name} | not run: no coined users | | | | {claimed:.2f} |"
    return (
        f"| {name} | {found.epsilon:.2f} | {found.ceiling:.2f} | {found.correct} of {found.guesses}, {found.coined} coined | "
        f"{found.attack} | {claimed:.2f} |"
    )


def measured(evidence: AuditInputs, *, leaks: list[float]) -> None:
    """Print both tables."""
    assert evidence.claim is not None
    delta, claimed = evidence.claim.for_bound()
    bounds = []
    print(
        "| log | risk | members | outside | random | risk beyond control (95 %) |\n|---|---|---:|---:|---:|---:|"
    )
    for share in (None, *leaks):
        name, rng = (
            "release" if share is None else f"{share:.0%} leaked",
            np.random.default_rng(SEED),
        )
        people = evidence.people if share is None else leaky(evidence.people, share=share, rng=rng)
        started = time.perf_counter()
        found = measure_disclosure(people, effort="quick", rng=rng)
        assert found is not None
        print(
            "\n".join(risk_rows(f"{name}, {time.perf_counter() - started:.0f} s", found)),
            flush=True,
        )
        bounds.append(bound_row(name, bounded(people, delta=delta, rng=rng), claimed=claimed))
    print(
        f"\n| log | epsilon at delta {delta:g} is at least | could have been shown | guesses right | attack | claimed |"
    )
    print("|---|---:|---:|---|---|---:|\n" + "\n".join(bounds))


def main() -> None:
    """Read, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", type=Path)
    parser.add_argument("--log", required=True)
    parser.add_argument("--leaks", nargs="*", type=float, default=[1.0, 0.2, 0.05])
    asked = parser.parse_args()
    measured(collect(Folder(asked.release), log=asked.log, progress=Progress()), leaks=asked.leaks)


if __name__ == "__main__":
    main()
