"""Epsilon as claimed, as recomputed, as an attack could show it and what this audit could have
shown at most; for each delta; and what is spent of the owner's cap, by this release and by all of
them, with what was trained and never released apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure as Canvas

from synthrec.report import sentences
from synthrec.report.plots.style import (
    BLUE,
    GREEN,
    HAIR,
    INK,
    MUTED,
    SKY,
    SMALL,
    beside,
    finished,
    rows_of_one_axis,
    styled,
    svg,
)
from synthrec.report.record import ReleaseRecord


@styled
def axis(rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Rows of (what it is, epsilon, "claim" | "shown" | "reach" | "budget", remark); bars from
    zero, so that lengths compare.
    """
    marks = {
        "claim": (BLUE, "o", True),
        "shown": (GREEN, ">", True),
        "reach": (MUTED, "|", False),
        "budget": (INK, "s", False),
    }
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.34, room=0.6, left=0.36, width=0.5, bottom=0.48, used=0.53
    )
    most = max(value for _, value, _, _ in rows)
    for place, (label, value, kind, remark) in enumerate(rows):
        colour, marker, filled = marks[kind]
        axes.plot(
            (0, value),
            (place, place),
            color=colour if filled else HAIR,
            linewidth=2.4 if filled else 1.6,
            zorder=1,
        )
        axes.plot(
            [value],
            [place],
            marker=marker,
            markersize=7,
            markeredgewidth=1.8,
            color=colour,
            markerfacecolor=colour if filled else "white",
            zorder=2,
            clip_on=False,
        )
        axes.text(
            -0.02,
            place,
            label,
            ha="right",
            **beside(axes),
            fontweight="bold" if kind == "claim" and place == 0 else "normal",
        )
        axes.annotate(
            remark,
            (value, place),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=MUTED,
        )
    return finished(
        canvas,
        axes,
        rows=len(rows),
        xlim=(-0.015 * most, 1.05 * most or 1),
        xlabel="epsilon",
        name="epsilon",
        title="Epsilon as claimed, as recomputed, and as the audit has and could have shown it",
    )


@styled
def profile(points: Sequence[tuple[float, float]], claimed: tuple[float, float]) -> str:
    """Epsilon as a function of delta, the claimed point ringed."""
    canvas = Canvas(figsize=(6.6, 2.5))
    axes = canvas.add_axes((0.1, 0.185, 0.875, 0.78))
    deltas, epsilons = zip(*points, strict=True)
    axes.plot(deltas, epsilons, color=BLUE, linewidth=2, marker="o", markersize=4)
    for x, y in points:
        axes.annotate(
            sentences.rounded_up(y),
            (x, y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
        )
    axes.plot(
        *claimed,
        marker="o",
        markersize=9,
        color=BLUE,
        markerfacecolor="none",
        markeredgewidth=1.4,
    )
    axes.set(xscale="log", ylim=(0, 1.25 * max(epsilons) or 1), xlabel="delta", ylabel="epsilon")
    axes.set_xticks(deltas, [sentences.delta(value) for value in deltas])
    axes.minorticks_off()
    axes.set_xlim(max(*deltas, claimed[0]) * 2.2, min(*deltas, claimed[0]) / 2.2)
    return svg(
        canvas, name="profile", title="Epsilon for each delta; the ring marks the claimed pair"
    )


Row = tuple[str, float | None, str, str]


def rows_of(release: ReleaseRecord) -> list[Row]:
    """What was spent: by whom, epsilon (None: no number), colour, remark."""
    both, internal = release.releases_before + 1, release.internal
    rows = (
        ("this release", release.epsilon, BLUE, "", True),
        (f"all {both} together", release.ledger_total, SKY, "", both > 1),
        (
            "internal trainings, outside the cap",
            internal.epsilon,
            "white",
            f"{internal.count}, ",
            internal.count > 0,
        ),
    )
    return [
        (
            label,
            epsilon if math.isfinite(epsilon) else None,
            colour,
            f"{count}ε = {sentences.rounded_up(epsilon)}",
        )
        for label, epsilon, colour, count, spent in rows
        if spent
    ]


@styled
def budget(rows: Sequence[Row], cap: float) -> str:
    """Bars from zero on one axis, the cap as a line; a bar of no number goes to the end."""
    most = max([value for _, value, _, _ in rows if value is not None] + [cap])
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.36, room=0.85, left=0.3, width=0.66, bottom=0.48, used=0.78
    )
    for place, (label, value, colour, remark) in enumerate(rows):
        length = most if value is None else value
        axes.barh(
            place,
            length,
            height=0.42,
            color=colour,
            edgecolor=HAIR if colour == "white" else colour,
            linewidth=1.2,
        )
        axes.text(-0.02, place, label, ha="right", **beside(axes))
        axes.annotate(
            remark,
            (length, place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=MUTED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            zorder=5,
        )
    axes.axvline(cap, color=INK, linewidth=1.4)
    axes.text(cap, -0.75, f"the owner's cap {sentences.short(cap)}", ha="center", fontsize=SMALL)
    return finished(
        canvas,
        axes,
        rows=len(rows),
        xlim=(0, 1.3 * most or 1),
        xlabel="epsilon at the claimed delta",
        name="budget",
        title="Budget spent by this release and by all releases, beside the owner's cap",
    )
