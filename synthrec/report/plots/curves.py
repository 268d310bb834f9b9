"""Curves of use over size: augmentation of a small log, and people or items of whom little is known."""

from __future__ import annotations

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.utility_record import Curve
from synthrec.report.plots.style import BLUE, GREEN, INK, MUTED, ORANGE, PURPLE, STYLE, VERMILLION, svg

LOOKS = ((INK, "s", "-"), (MUTED, "v", (0, (4, 2))), (GREEN, "D", "-"), (ORANGE, "^", "-"), (PURPLE, "P", "-"), (VERMILLION, "X", "-"))


def curve(found: Curve, *, name: str) -> str:
    """One panel a measure, one line an arm, labelled at its end."""
    measures = list(dict.fromkeys(point.measure for point in found.points))
    arms = list(dict.fromkeys(point.arm for point in found.points))
    others = [arm for arm in arms if not _ours(arm)]
    looks = {arm: (BLUE, "o", "-") if _ours(arm) else LOOKS[others.index(arm) % len(LOOKS)] for arm in arms}
    with rc_context(STYLE):
        canvas = Canvas(figsize=(8.3 if len(measures) > 1 else 6.6, 3.1))
        room = {"left": 0.08, "right": 0.83 if len(measures) == 1 else 0.88, "bottom": 0.17, "top": 0.93, "wspace": 0.65}
        for axes, measure in zip(canvas.subplots(1, len(measures), squeeze=False, gridspec_kw=room)[0], measures, strict=True):
            sizes = sorted({point.size for point in found.points if point.measure == measure})
            ends = []
            for arm in arms:
                points = [point for point in found.points if point.arm == arm and point.measure == measure]
                points.sort(key=lambda point: point.size)
                if not points:
                    continue
                colour, marker, dashes = looks[arm]
                beside = 0.03 * (arms.index(arm) - (len(arms) - 1) / 2)        # so that intervals do not hide each other
                xs = [sizes.index(point.size) + beside for point in points]
                axes.vlines(xs, [point.figure.low for point in points], [point.figure.high for point in points], color=colour, linewidth=1)
                axes.plot(xs, [point.figure.value for point in points], color=colour, marker=marker, linestyle=dashes, markersize=5,
                          linewidth=2 if colour == BLUE else 1.3)
                ends.append((points[-1].figure.value, arm, colour))
            for height, label, colour in _apart(ends, axes.get_ylim()):
                axes.text(len(sizes) - 0.85, height, label, color=colour, va="center", fontsize=8)
            axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
            axes.set(xlabel=found.size_means, title="")
            axes.set_title(f"{measure}, {'lower' if measure == 'RMSE' else 'higher'} is better", fontsize=9, color=MUTED, loc="left")
            axes.set_xlim(-0.25, len(sizes) - 0.9)
        return svg(canvas, name=name, title=f"{found.name.capitalize()}: each arm over {found.size_means}")


def _ours(arm: str) -> bool:
    return arm == "synthrec" or "synthetic" in arm


def _apart(ends: list[tuple[float, str, str]], limits: tuple[float, float]) -> list[tuple[float, str, str]]:
    """Labels at the lines' ends, moved up where they would touch."""
    gap, placed = 0.065 * (limits[1] - limits[0]), []
    for height, label, colour in sorted(ends):
        height = max(height, placed[-1][0] + gap) if placed else height
        placed.append((height, label, colour))
    return placed
