"""The utility ladder: each arm as a dot with its interval, between the floor and the real log; better is to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from synthrec.audit.figure import Figure
from synthrec.audit.utility_record import Arm, Utility
from synthrec.report import words
from synthrec.report.plots.style import BLUE, INK, MUTED, STYLE, WASH, WIDE, svg


def ladder(utility: Utility) -> str:
    """Each arm of the utility ladder as a dot with its interval, between the floor and the real log; better is to the right."""
    arms = utility.ladder
    panels = [
        ("rating error (RMSE)", {arm.name: arm.rmse for arm in arms if arm.name != "popularity"}, "nothing", True),
        ("ranking quality (NDCG@10)", {arm.name: arm.ndcg for arm in arms if arm.name != "nothing"}, "popularity", False),
    ]
    panels = [panel for panel in panels if sum(figure is not None for figure in panel[1].values()) > 1]
    with rc_context(STYLE):
        inches = 0.42 * len(arms) + 0.7
        canvas = Canvas(figsize=(WIDE, inches))
        left = min(0.4, 0.02 + max(len(arm.label) for arm in arms) * 5.1 / (72 * WIDE))     # points of a letter over points of the width
        room = {"left": left, "right": 0.985, "bottom": 0.46 / inches, "top": 0.995, "wspace": 0.06}
        grid = canvas.subplots(1, len(panels), sharey=True, squeeze=False, gridspec_kw=room)[0]
        for axes, (label, figures, floor, falling) in zip(grid, panels, strict=True):
            _ladder_panel(axes, arms=arms, figures=figures, floor=floor, falling=falling)
            axes.set_xlabel(f"{label}, better →")
        grid[0].set_yticks(range(len(arms)), [arm.label for arm in arms])
        for tick, arm in zip(grid[0].get_yticklabels(), arms, strict=True):
            tick.set(color=BLUE if arm.name == "synthrec" else INK, fontweight="bold" if arm.name == "synthrec" else "normal")
        return svg(canvas, name="ladder", title="Utility of each arm between knowing nothing and the real log, with intervals")


def _ladder_panel(axes: Axes, *, arms: Sequence[Arm], figures: dict[str, Figure | None], floor: str, falling: bool) -> None:
    figures = {name: each for name, each in figures.items()
               if each is not None and math.isfinite(each.low + each.value + each.high)}
    if not figures:
        return
    bottom, top = figures.get(floor), figures.get("real")
    for figure, style in ((bottom, (0, (1, 3))), (top, "-")):
        if figure is not None:
            axes.axvline(figure.value, color=MUTED, linewidth=0.9, linestyle=style, zorder=1)
    if bottom is not None and top is not None:
        axes.axvspan(bottom.value, top.value, color=WASH, linewidth=0, zorder=0)
    for row, arm in enumerate(arms):
        figure = figures.get(arm.name)
        if figure is None:
            continue
        colour = BLUE if arm.name == "synthrec" else INK
        failed = any(not limit.passed for limit in arm.realism)
        axes.plot((figure.low, figure.high), (row, row), color=colour, linewidth=1.6, zorder=2)
        shape, inside = ("X", "white") if failed else ("o", colour)
        axes.plot([figure.value], [row], marker=shape, markersize=6.5, color=colour, markerfacecolor=inside, zorder=3)
        said = words.number(figure.value) + (" fails realism" if failed else "")
        axes.annotate(said, (figure.value, row), xytext=(5, 5), textcoords="offset points", ha="left", fontsize=8, color=colour)
    known = [figure for figure in figures.values() if figure is not None]
    left, right = min(figure.low for figure in known), max(figure.high for figure in known)
    margin = 0.16 * (right - left or 1.0)
    left, right = left - margin, right + margin
    axes.set_xlim((right, left) if falling else (left, right))
    axes.set_ylim(-0.5, len(arms) - 0.3)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)
