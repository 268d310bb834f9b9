"""Use and likeness: each arm of the utility ladder between the floor and the real log; curves of
use over size; distances to the real log in units of that of two halves of the real users, one panel
a topic; recommenders trained on the real and on the synthetic log, in the order that the real log
gives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Arm, Curve, Fidelity, Figure, PanelRow, Utility
from synthrec.report import sentences
from synthrec.report.plots.style import (
    BLUE,
    GREEN,
    HAIR,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SMALL,
    VERMILLION,
    WASH,
    WIDE,
    beside,
    dot,
    finished,
    key,
    rows_of_one_axis,
    styled,
    svg,
)


@styled
def ladder(utility: Utility) -> str:
    """Each arm of the utility ladder as a dot with its interval, between the floor and the real
    log; better is to the right.
    """
    arms = utility.ladder
    errors = {arm.name: arm.rmse for arm in arms if arm.name != "popularity"}
    ranks = {arm.name: arm.ndcg for arm in arms if arm.name != "nothing"}
    panels = [
        panel
        for panel in (
            ("rating error (RMSE)", errors, "nothing", True),
            ("ranking quality (NDCG@10)", ranks, "popularity", False),
        )
        if sum(figure is not None for figure in panel[1].values()) > 1
    ]
    inches = 0.42 * len(arms) + 0.7
    canvas = Canvas(figsize=(WIDE, inches))
    left = min(
        0.4, 0.02 + max(len(arm.label) for arm in arms) * 5.1 / (72 * WIDE)
    )  # points of a letter over points of the width
    room = {"left": left, "right": 0.985, "bottom": 0.46 / inches, "top": 0.995, "wspace": 0.06}
    grid = canvas.subplots(1, len(panels), sharey=True, squeeze=False, gridspec_kw=room)[0]
    for axes, (label, figures, floor, falling) in zip(grid, panels, strict=True):
        _ladder_panel(axes, arms=arms, figures=figures, floor=floor, falling=falling)
        axes.set_xlabel(f"{label}, better →")
    grid[0].set_yticks(range(len(arms)), [arm.label for arm in arms])
    for tick, arm in zip(grid[0].get_yticklabels(), arms, strict=True):
        tick.set(
            color=BLUE if arm.name == "synthrec" else INK,
            fontweight="bold" if arm.name == "synthrec" else "normal",
        )
    return svg(
        canvas,
        name="ladder",
        title="Utility of each arm between knowing nothing and the real log, with intervals",
    )


def _ladder_panel(
    axes: Axes, *, arms: Sequence[Arm], figures: dict[str, Figure | None], floor: str, falling: bool
) -> None:
    drawn = {
        name: each
        for name, each in figures.items()
        if each is not None and math.isfinite(each.low + each.value + each.high)
    }
    if not drawn:
        return
    bottom, top = drawn.get(floor), drawn.get("real")
    for figure, style in ((bottom, (0, (1, 3))), (top, "-")):
        if figure is not None:
            axes.axvline(figure.value, color=MUTED, linewidth=0.9, linestyle=style, zorder=1)
    if bottom is not None and top is not None:
        axes.axvspan(bottom.value, top.value, color=WASH, linewidth=0, zorder=0)
    for row, arm in enumerate(arms):
        figure = drawn.get(arm.name)
        if figure is None:
            continue
        colour = BLUE if arm.name == "synthrec" else INK
        failed = any(not limit.passed for limit in arm.realism)
        marker = "X" if failed else "o"
        dot(axes, figure, row=row, colour=colour, marker=marker, hollow=failed, size=6.5, clip=True)
        axes.annotate(
            sentences.number(figure.value) + (" fails realism" if failed else ""),
            (figure.value, row),
            xytext=(5, 5),
            textcoords="offset points",
            ha="left",
            fontsize=8,
            color=colour,
        )
    left, right = (
        min(each.low for each in drawn.values()),
        max(each.high for each in drawn.values()),
    )
    margin = 0.16 * (right - left or 1.0)
    ends = (left - margin, right + margin)
    axes.set(xlim=ends[::-1] if falling else ends, ylim=(-0.5, len(arms) - 0.3))
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)


LINE_STYLES = (
    (INK, "s", "-"),
    (MUTED, "v", (0, (4, 2))),
    (GREEN, "D", "-"),
    (ORANGE, "^", "-"),
    (PURPLE, "P", "-"),
    (VERMILLION, "X", "-"),
)


@styled
def curve(shown: Curve, name: str) -> str:
    """One panel a measure, one line an arm, labelled at its end."""
    measures = list(dict.fromkeys(point.measure for point in shown.points))
    arms = list(dict.fromkeys(point.arm for point in shown.points))
    others = [arm for arm in arms if not _ours(arm)]
    looks = {
        arm: (BLUE, "o", "-") if _ours(arm) else LINE_STYLES[others.index(arm) % len(LINE_STYLES)]
        for arm in arms
    }
    canvas = Canvas(figsize=(8.3 if len(measures) > 1 else 6.6, 3.1))
    room = {
        "left": 0.08,
        "right": 0.83 if len(measures) == 1 else 0.88,
        "bottom": 0.17,
        "top": 0.93,
        "wspace": 0.65,
    }
    for axes, measure in zip(
        canvas.subplots(1, len(measures), squeeze=False, gridspec_kw=room)[0],
        measures,
        strict=True,
    ):
        sizes = sorted({point.size for point in shown.points if point.measure == measure})
        ends = []
        for arm in arms:
            points = sorted(
                (each for each in shown.points if (each.arm, each.measure) == (arm, measure)),
                key=lambda point: point.size,
            )
            if not points:
                continue
            colour, marker, dashes = looks[arm]
            beside = 0.03 * (
                arms.index(arm) - (len(arms) - 1) / 2
            )  # so that intervals do not hide each other
            xs = [sizes.index(point.size) + beside for point in points]
            axes.vlines(
                xs,
                [point.figure.low for point in points],
                [point.figure.high for point in points],
                color=colour,
                linewidth=1,
            )
            axes.plot(
                xs,
                [point.figure.value for point in points],
                color=colour,
                marker=marker,
                linestyle=dashes,
                markersize=5,
                linewidth=2 if colour == BLUE else 1.3,
            )
            ends.append((points[-1].figure.value, arm, colour))
        for height, label, colour in _apart(ends, axes.get_ylim()):
            axes.text(len(sizes) - 0.85, height, label, color=colour, va="center", fontsize=8)
        axes.set_xticks(range(len(sizes)), [f"{size:,}" for size in sizes])
        axes.set(xlabel=shown.size_means, xlim=(-0.25, len(sizes) - 0.9))
        axes.set_title(
            f"{measure}, {'lower' if measure == 'RMSE' else 'higher'} is better",
            fontsize=9,
            color=MUTED,
            loc="left",
        )
    return svg(
        canvas, name=name, title=f"{shown.name.capitalize()}: each arm over {shown.size_means}"
    )


def _ours(arm: str) -> bool:
    return arm == "synthrec" or "synthetic" in arm


def _apart(
    ends: list[tuple[float, str, str]], limits: tuple[float, float]
) -> list[tuple[float, str, str]]:
    """Labels at the lines' ends, moved up where they would touch."""
    gap, placed = 0.065 * (limits[1] - limits[0]), list[tuple[float, str, str]]()
    for height, label, colour in sorted(ends):
        height = max(height, placed[-1][0] + gap) if placed else height
        placed.append((height, label, colour))
    return placed


MIN_RATIO, MAX_RATIO = (
    0.25,
    40.0,
)  # of the distance of two halves; what lies beyond is drawn at the edge
ROW, HEAD = 0.29, 0.42  # inches


@styled
def fidelity(compared: Sequence[Fidelity]) -> str:
    """Two columns of panels of figures, each with its distance of halves, on one logarithmic axis;
    left of 1 is as close as other real people are.
    """
    topics = dict.fromkeys(each.topic for each in compared)
    panels = [(topic, [each for each in compared if each.topic == topic]) for topic in topics]
    columns = _columns(panels)
    tall = max(sum(_height(rows) for _, rows in column) for column in columns)
    canvas = Canvas(figsize=(WIDE, tall + 0.35))
    for side, column in enumerate(columns):
        top = tall + 0.35
        for topic, rows in column:
            inches = _height(rows)
            box = (
                0.015 + 0.51 * side,
                (top - inches + 0.1) / (tall + 0.35),
                0.46,
                (inches - HEAD) / (tall + 0.35),
            )
            _panel(canvas.add_axes(box), topic=topic, rows=rows, last=(topic, rows) == column[-1])
            top -= inches
    return svg(
        canvas,
        name="fidelity",
        title="Distances to the real log, in units of that of two halves of its users, by topic",
    )


def _panel(axes: Axes, *, topic: str, rows: Sequence[Fidelity], last: bool) -> None:
    axes.set_xscale("log")
    axes.axvspan(MIN_RATIO, 1, color=WASH, linewidth=0, zorder=0)
    axes.axvline(1, color=MUTED, linewidth=0.9, zorder=1)
    for row, each in enumerate(rows):
        assert each.halves
        mine = min(max(each.distance / each.halves, MIN_RATIO), MAX_RATIO)
        axes.plot((1, mine), (row, row), color=HAIR, linewidth=1.6, zorder=1)
        if each.floor is not None:
            axes.plot(
                [min(max(each.floor / each.halves, MIN_RATIO), MAX_RATIO)],
                [row],
                marker="x",
                markersize=5,
                color=INK,
                zorder=2,
            )
        axes.plot([mine], [row], marker="o", markersize=6, color=BLUE, zorder=3)
        axes.text(MIN_RATIO * 1.04, row - 0.42, each.name, fontsize=7.5, color=INK, va="center")
    axes.set(xlim=(MIN_RATIO, MAX_RATIO), ylim=(len(rows) - 0.55, -0.8), yticks=[])
    axes.set_title(topic, loc="left", fontsize=9, fontweight="bold", pad=3)
    axes.spines["left"].set_visible(False)
    axes.minorticks_off()
    ticks = [0.25, 0.5, 1, 2, 5, 10, 20, 40]
    axes.set_xticks(
        ticks, [f"{tick:g}" for tick in ticks] if last else [""] * len(ticks), fontsize=SMALL
    )


def _height(rows: Sequence[Fidelity]) -> float:
    return ROW * len(rows) + HEAD


def _columns(panels: list[tuple[str, list[Fidelity]]]) -> list[list[tuple[str, list[Fidelity]]]]:
    """Dealt in order to two columns of about one height."""
    heights = [_height(rows) for _, rows in panels]
    half = sum(heights) / 2
    ends = (n for n in range(1, len(panels)) if sum(heights[:n]) + heights[n] / 2 > half)
    end = next(ends, len(panels))
    return [column for column in (panels[:end], panels[end:]) if column]


@styled
def panel(compared: Sequence[PanelRow]) -> str:
    """One row a recommender; agreeing orders fall alike in all three columns of dots."""
    rows = sorted(compared, key=lambda row: -row.real.value)
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.4, room=0.85, left=0.24, width=0.72, bottom=0.5, used=0.85
    )
    for height, row in enumerate(rows):
        dot(axes, row.real, row=height - 0.22, colour=INK, size=5)
        dot(axes, row.synthetic, row=height, colour=BLUE, size=5, marker="D")
        dot(axes, row.receiver, row=height + 0.22, colour=GREEN, size=5, marker="s", hollow=True)
        axes.text(-0.02, height, row.name, ha="right", **beside(axes))
        axes.axhline(height + 0.5, xmin=-0.3, color=HAIR, linewidth=0.6, clip_on=False)
    marks = (
        ("●", INK, "real log, real users"),
        ("◆", BLUE, "synthetic log, real users"),
        ("□", GREEN, "synthetic log, synthetic users"),
    )
    key(axes, marks, row=-0.68, left=0.0, step=0.34)
    return finished(
        canvas,
        axes,
        rows=len(rows),
        room=0.5,
        xlim=(0, None),
        xlabel="NDCG@10: trained on, scored on",
        name="panel",
        title="Ranking quality of recommenders by the log that they were trained and scored on",
    )
