"""Small multiples: each distance to the real log in units of the distance of two halves of the real users, one panel a topic."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from synthrec.audit.utility_record import Fidelity
from synthrec.report.plots.style import BLUE, HAIR, INK, MUTED, SMALL, STYLE, WASH, WIDE, svg

LEAST, MOST = 0.25, 40.0        # of the distance of two halves; what lies beyond is drawn at the edge
ROW, HEAD = 0.29, 0.42          # inches


def comparable(found: Sequence[Fidelity]) -> list[Fidelity]:
    """Those that have a distance of halves to be compared with."""
    return [each for each in found if each.halves]


def fidelity(found: Sequence[Fidelity]) -> str:
    """Two columns of panels of `comparable` figures on one logarithmic axis; left of 1 is as close as other real people are."""
    topics = list(dict.fromkeys(each.topic for each in found))
    panels = [(topic, [each for each in found if each.topic == topic]) for topic in topics]
    columns = _columns(panels)
    tall = max(sum(_height(rows) for _, rows in column) for column in columns)
    with rc_context(STYLE):
        canvas = Canvas(figsize=(WIDE, tall + 0.35))
        for side, column in enumerate(columns):
            top = tall + 0.35
            for topic, rows in column:
                inches = _height(rows)
                place = (0.015 + 0.51 * side, (top - inches + 0.1) / (tall + 0.35), 0.46, (inches - HEAD) / (tall + 0.35))
                _panel(canvas.add_axes(place), topic=topic, rows=rows, last=(topic, rows) == column[-1])
                top -= inches
        return svg(canvas, name="fidelity", title="Distances to the real log, in units of that of two halves of its users, by topic")


def _panel(axes: Axes, *, topic: str, rows: Sequence[Fidelity], last: bool) -> None:
    axes.set_xscale("log")
    axes.axvspan(LEAST, 1, color=WASH, linewidth=0, zorder=0)
    axes.axvline(1, color=MUTED, linewidth=0.9, zorder=1)
    for place, each in enumerate(rows):
        assert each.halves
        mine = min(max(each.distance / each.halves, LEAST), MOST)
        axes.plot((1, mine), (place, place), color=HAIR, linewidth=1.6, zorder=1)
        if each.floor is not None:
            axes.plot([min(max(each.floor / each.halves, LEAST), MOST)], [place], marker="x", markersize=5, color=INK, zorder=2)
        axes.plot([mine], [place], marker="o", markersize=6, color=BLUE, zorder=3)
        axes.text(LEAST * 1.04, place - 0.42, each.name, fontsize=7.5, color=INK, va="center")
    axes.set(xlim=(LEAST, MOST), ylim=(len(rows) - 0.55, -0.8), yticks=[])
    axes.set_title(topic, loc="left", fontsize=9, fontweight="bold", pad=3)
    axes.spines["left"].set_visible(False)
    axes.minorticks_off()
    ticks = [0.25, 0.5, 1, 2, 5, 10, 20, 40]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks] if last else [""] * len(ticks), fontsize=SMALL)


def _height(rows: Sequence[Fidelity]) -> float:
    return ROW * len(rows) + HEAD


def _columns(panels: list[tuple[str, list[Fidelity]]]) -> list[list[tuple[str, list[Fidelity]]]]:
    """Dealt in order to two columns of about one height."""
    total, left, spent = sum(_height(rows) for _, rows in panels), [], 0.0
    for panel in panels:
        if left and spent + _height(panel[1]) / 2 > total / 2:
            break
        left.append(panel)
        spent += _height(panel[1])
    return [column for column in (left, panels[len(left):]) if column]
