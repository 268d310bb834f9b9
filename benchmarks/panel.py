"""Use of a release as its receivers have it: strata, rivals, the panel of recommenders,
augmentation and cold start.

    python -m benchmarks.panel ml-100k [--seed 0] [--epsilon 8] [--full] [--only panel augmentation]

Prints Markdown, kept in benchmarks/panel.md. The people and the synthetic logs are those of
`benchmarks.partners`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.partners import Case, load
from synthrec.audit.learning_curves import (
    measure_augmentation,
    measure_cold_items,
    measure_cold_start,
)
from synthrec.audit.panel import measure_panel
from synthrec.audit.record import Curve, CurvePoint, Figure, Panel, Utility
from synthrec.audit.utility import ArmInput, measure_utility

NAMES = ("protocol", "panel", "augmentation", "users", "items")
PARTS = ("head", "middle", "tail", "decile 1", "decile 10")
LABELS = {"moments": "DP moments", "marginals": "DP marginals"}


def ladder(case: Case, *, epsilon: float) -> Utility | None:
    """The protocol, with both simpler methods."""
    arms = {
        name: ArmInput(log=log, label=LABELS[name], epsilon=epsilon, ledger_kind="internal")
        for name, log in case.simpler.items()
    }
    arms["synthrec"] = ArmInput(
        log=case.people.synthetic, label="synthrec", epsilon=epsilon, ledger_kind="release"
    )
    people = case.people
    return measure_utility(
        train=people.train_whole,
        test=people.test,
        arms=arms,
        items=people.items,
        scale=case.scale,
        events_per_user=people.events_per_user,
        rng=np.random.default_rng(0),
    )


def ladder_table(found: Utility) -> Iterator[str]:
    """Arms by strata, then the release against the best rival."""
    yield from table(
        [
            "arm",
            "RMSE",
            "head",
            "middle",
            "tail",
            "least active tenth",
            "most active tenth",
            "NDCG@10",
        ],
        [
            [
                arm.name,
                shown(arm.rmse),
                *(strata(arm.strata, name) for name in PARTS),
                shown(arm.ndcg),
            ]
            for arm in found.ladder
        ],
    )
    for row in found.against:
        less = row.difference
        yield (
            f"{row.measure}, synthrec less {row.rival}: {less.value:+.4f} [{less.low:+.4f}, {less.high:+.4f}]"
            f", {'better' if row.beats else 'not shown to be better'}.\n"
        )


def panel_table(found: Panel) -> Iterator[str]:
    """Recommenders by where they learned and who was asked."""
    yield from table(
        ["NDCG@10", "trained on real", "on synthetic", "on synthetic, scored on synthetic users"],
        [
            [row.name, shown(row.real), shown(row.synthetic), shown(row.receiver)]
            for row in found.rows
        ],
    )
    for row in found.agreements:
        yield (
            f"Scored on {row.scored_on}: Kendall's tau-b {shown(row.tau)} over {row.pairs} pairs, {shown(row.tau_resolved)} over "
            f"the {row.resolved_pairs} that the real log resolves; the best is {'the same' if row.top_agrees else 'another'}.\n"
        )


def curve_table(found: Curve) -> Iterator[str]:
    """Arms by size."""
    sizes, arms = (
        sorted({point.size for point in found.points}),
        dict.fromkeys(point.arm for point in found.points),
    )
    value = {(point.arm, point.size): point for point in found.points}
    yield from table(
        [f"{found.name}, {found.points[0].measure}; {found.size_means}", *map(str, sizes)],
        [[arm, *(with_difference(value[arm, size]) for size in sizes)] for arm in arms],
    )


def with_difference(point: CurvePoint) -> str:
    """The first arm with its interval, others with the interval of what they differ from it by."""
    less = point.difference
    return (
        shown(point.figure)
        if less is None
        else f"{point.figure.value:.3f} ({less.value:+.3f} [{less.low:+.3f}, {less.high:+.3f}])"
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Markdown; a column that holds nothing is left out."""
    kept = [place for place in range(len(head)) if any(row[place] != "-" for row in rows)]
    head, rows = [head[place] for place in kept], [[row[place] for place in kept] for row in rows]
    yield "| " + " | ".join(head) + " |"
    yield "|---|" + "---:|" * (len(head) - 1)
    yield from ("| " + " | ".join(row) + " |" for row in rows)
    yield ""


def strata(found: Sequence, name: str) -> str:
    """RMSE of one part."""
    return next((shown(part.rmse) for part in found if part.name == name), "-")


def shown(figure: Figure | None) -> str:
    """Value and interval."""
    return "-" if figure is None else f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epsilon", type=float, default=8.0)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--data", type=Path)
    asked = parser.parse_args()
    case = load(asked.log, seed=asked.seed, epsilon=asked.epsilon, data=asked.data)
    people, rng, others = (
        case.people,
        np.random.default_rng(asked.seed),
        {"DP moments": case.simpler["moments"]},
    )
    measures: tuple[tuple[Callable, Callable], ...] = (
        (lambda: ladder(case, epsilon=asked.epsilon), ladder_table),
        (lambda: measure_panel(people, cuts=5 if asked.full else 1, rng=rng), panel_table),
        (
            lambda: measure_augmentation(
                people, others=others, scale=case.scale, draws=3 if asked.full else 1, rng=rng
            ),
            curve_table,
        ),
        (lambda: measure_cold_start(people, others=others, scale=case.scale, rng=rng), curve_table),
        (
            lambda: measure_cold_items(
                people, features=case.features, others=others, scale=case.scale, rng=rng
            ),
            curve_table,
        ),
    )
    print(
        f"## {asked.log}, epsilon {asked.epsilon:g}, seed {asked.seed}, {'full' if asked.full else 'quick'} effort\n"
    )
    for name, (measure, lines) in zip(NAMES, measures, strict=True):
        if name in asked.only:
            started = time.perf_counter()
            found = measure()
            print(
                "\n".join(lines(found))
                if found is not None
                else f"No {name}: this log does not allow it.\n"
            )
            print(f"{name}: {time.perf_counter() - started:.0f} seconds.\n", flush=True)


if __name__ == "__main__":
    main()
