"""Epsilon: as claimed, as recomputed, as an attack could show it, and what this audit could have
shown at most; and for each delta.

What is spent of the owner's cap, by this release and by all of them; what was trained and never
released stands apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
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
    STYLE,
    WIDE,
    bare,
    svg,
)
from synthrec.report.record import ReleaseRecord


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
    with rc_context(STYLE):
        inches = 0.34 * len(rows) + 0.6
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.36, 0.48 / inches, 0.5, 1 - 0.53 / inches))
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
                transform=axes.get_yaxis_transform(),
                ha="right",
                va="center",
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
        bare(axes, rows=len(rows))
        axes.set(xlim=(-0.015 * most, 1.05 * most or 1), yticks=[], xlabel="epsilon")
        return svg(
            canvas,
            name="epsilon",
            title="Epsilon as claimed, as recomputed, and as the audit has and could have shown it",
        )


def profile(points: Sequence[tuple[float, float]], *, claimed: tuple[float, float]) -> str:
    """Epsilon as a function of delta, the claimed point ringed."""
    with rc_context(STYLE):
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
        axes.set_xscale("log")
        axes.set_xticks(deltas, [sentences.delta(value) for value in deltas])
        axes.minorticks_off()
        axes.set(ylim=(0, 1.25 * max(epsilons) or 1), xlabel="delta", ylabel="epsilon")
        axes.set_xlim(max(*deltas, claimed[0]) * 2.2, min(*deltas, claimed[0]) / 2.2)
        return svg(
            canvas, name="profile", title="Epsilon for each delta; the ring marks the claimed pair"
        )


Row = tuple[str, float | None, str, str]


def rows_of(release: ReleaseRecord) -> list[Row]:
    """What was spent: by whom, epsilon (None: no number), colour, remark."""
    rows = [("this release", release.epsilon, BLUE, f"ε = {sentences.rounded_up(release.epsilon)}")]
    if release.releases_before:
        both = sentences.rounded_up(release.ledger_total)
        rows.append(
            (
                f"all {release.releases_before + 1} together",
                release.ledger_total,
                SKY,
                f"ε = {both}",
            )
        )
    if release.internal.count:
        rows.append(
            (
                "internal trainings, outside the cap",
                release.internal.epsilon,
                "white",
                f"{release.internal.count}, ε = {sentences.rounded_up(release.internal.epsilon)}",
            )
        )
    return [
        (label, value if math.isfinite(value) else None, colour, remark)
        for label, value, colour, remark in rows
    ]


def budget(rows: list[Row], *, cap: float) -> str:
    """Bars from zero on one axis, the cap as a line; a bar of no number goes to the end."""
    most = max([value for _, value, _, _ in rows if value is not None] + [cap])
    with rc_context(STYLE):
        inches = 0.36 * len(rows) + 0.85
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.3, 0.48 / inches, 0.66, 1 - 0.78 / inches))
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
            axes.text(
                -0.02, place, label, transform=axes.get_yaxis_transform(), ha="right", va="center"
            )
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
        axes.text(
            cap, -0.75, f"the owner's cap {sentences.short(cap)}", ha="center", fontsize=SMALL
        )
        bare(axes, rows=len(rows))
        axes.set(xlim=(0, 1.3 * most or 1), yticks=[], xlabel="epsilon at the claimed delta")
        return svg(
            canvas,
            name="budget",
            title="Budget spent by this release and by all releases, beside the owner's cap",
        )
