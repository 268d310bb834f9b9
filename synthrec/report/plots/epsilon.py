"""Epsilon: as claimed, as recomputed, as an attack could show it, and what this audit could have shown at most; and for each delta."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.report import words
from synthrec.report.plots.style import BLUE, GREEN, HAIR, INK, MUTED, SMALL, STYLE, WIDE, bare, svg


def axis(rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Rows of (what it is, epsilon, "claim" | "shown" | "reach" | "budget", remark); bars from zero, so that lengths compare."""
    marks = {"claim": (BLUE, "o", True), "shown": (GREEN, ">", True), "reach": (MUTED, "|", False), "budget": (INK, "s", False)}
    with rc_context(STYLE):
        inches = 0.34 * len(rows) + 0.6
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.36, 0.48 / inches, 0.5, 1 - 0.53 / inches))
        most = max(value for _, value, _, _ in rows)
        for place, (label, value, kind, remark) in enumerate(rows):
            colour, marker, filled = marks[kind]
            axes.plot((0, value), (place, place), color=colour if filled else HAIR, linewidth=2.4 if filled else 1.6, zorder=1)
            axes.plot([value], [place], marker=marker, markersize=7, markeredgewidth=1.8, color=colour,
                      markerfacecolor=colour if filled else "white", zorder=2, clip_on=False)
            axes.text(-0.02, place, label, transform=axes.get_yaxis_transform(), ha="right", va="center",
                      fontweight="bold" if kind == "claim" and place == 0 else "normal")
            axes.annotate(remark, (value, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=SMALL, color=MUTED)
        bare(axes, rows=len(rows))
        axes.set(xlim=(-0.015 * most, 1.05 * most or 1), yticks=[], xlabel="epsilon")
        return svg(canvas, name="epsilon", title="Epsilon as claimed, as recomputed, and as the audit has and could have shown it")


def profile(points: Sequence[tuple[float, float]], *, claimed: tuple[float, float]) -> str:
    """Epsilon as a function of delta, the claimed point ringed."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=(6.6, 2.5))
        axes = canvas.add_axes((0.1, 0.185, 0.875, 0.78))
        deltas, epsilons = zip(*points, strict=True)
        axes.plot(deltas, epsilons, color=BLUE, linewidth=2, marker="o", markersize=4)
        for x, y in points:
            axes.annotate(words.rounded_up(y), (x, y), xytext=(0, 9), textcoords="offset points", ha="center")
        axes.plot(*claimed, marker="o", markersize=9, color=BLUE, markerfacecolor="none", markeredgewidth=1.4)
        axes.set_xscale("log")
        axes.set_xticks(deltas, [words.delta(value) for value in deltas])
        axes.minorticks_off()
        axes.set(ylim=(0, 1.25 * max(epsilons) or 1), xlabel="delta", ylabel="epsilon")
        axes.set_xlim(max(*deltas, claimed[0]) * 2.2, min(*deltas, claimed[0]) / 2.2)
        return svg(canvas, name="profile", title="Epsilon for each delta; the ring marks the claimed pair")
