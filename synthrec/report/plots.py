"""Pictures of the report: records in, inline SVG out, byte-identical for equal records.

Text stays text (the page's own font, readable by search and by screen readers); no script, no date, nothing from outside the page.
Colours are Okabe and Ito's, which colour-blind readers tell apart; no meaning hangs on colour alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from synthrec.audit.figure import Figure
from synthrec.audit.record import AttackBound, Membership
from synthrec.audit.utility_record import Arm, Utility
from synthrec.report import sentences
from synthrec.report.record import ReleaseRecord

INK, MUTED, HAIR, WASH = "#1d2733", "#5a6675", "#d9dfe6", "#f1f4f7"
BLUE, VERMILLION, GREEN = "#0072b2", "#d55e00", "#009e73"
STYLE: Any = {
    "svg.hashsalt": "synthrec",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": HAIR,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.parse_math": False,
    "lines.solid_capstyle": "round",
}


def roc(bound: AttackBound, *, membership: Membership | None) -> str:
    """Measured ROC under the proved curve; without a membership test only the proved curve."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=(6.6, 4.6))
        axes = canvas.add_axes((0.095, 0.1, 0.875, 0.87))
        x, y = zip(*bound.roc, strict=True)
        axes.fill_between(x, y, 1.0, color=WASH, linewidth=0, zorder=0)
        axes.plot(x, y, color=INK, linewidth=1.6, zorder=4, clip_on=False)
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=(0, (1, 3)), zorder=1)
        most = sentences.rounded_up(bound.auc, digits=3)
        key: list[tuple[str, str, str, Any]] = [("proved limit of any attacker", f"AUC {most}", INK, "-")]
        if membership is not None:
            attack = membership.strongest
            others = [other for other in membership.attacks if other.name != attack.name]
            for other in others:
                axes.plot(*zip(*other.roc, strict=True), color=GREEN, linewidth=0.9, zorder=2, clip_on=False)
            axes.plot(*zip(*attack.roc, strict=True), color=BLUE, linewidth=2.2, zorder=3, clip_on=False)
            _whisker(axes, attack.fpr, attack.tpr)
            if others:
                key.append((f"{len(others)} other attacks", f"AUC up to {max(other.auc.value for other in others):.3f}", GREEN, "-"))
            key.append((f"this release: {attack.name}", f"AUC {sentences.number(attack.auc.value)}", BLUE, "-"))
        key.append(("guessing", "AUC 0.500", MUTED, (0, (1, 3))))
        for row, (what, value, colour, dashes) in enumerate(key):
            height = 0.055 + 0.075 * (len(key) - 1 - row)
            axes.plot((0.33, 0.38), (height, height), color=colour, linewidth=2, linestyle=dashes, zorder=6)
            axes.text(0.395, height, what, va="center", ha="left", zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})
            axes.text(1.0, height, value, va="center", ha="right", color=MUTED, zorder=6)
        ticks = [0, 0.2, 0.4, 0.6, 0.8, 1]
        axes.set(xlim=(0, 1), ylim=(0, 1.0), xlabel="false alarms: share of people outside, called members", xticks=ticks, yticks=ticks[1:])
        axes.set_ylabel("hits: share of members recognised")
        _percent_ticks(axes)
        return svg(canvas, name="roc", title="What the attack reached, under what any attacker can reach at most")


def profile(release: ReleaseRecord) -> str:
    """Epsilon as a function of delta, the claimed point marked."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=(6.6, 2.5))
        axes = canvas.add_axes((0.075, 0.185, 0.9, 0.78))
        deltas, epsilons = zip(*release.profile, strict=True)
        axes.plot(deltas, epsilons, color=BLUE, linewidth=2, marker="o", markersize=4)
        for x, y in release.profile:
            axes.annotate(sentences.rounded_up(y), (x, y), xytext=(0, 9), textcoords="offset points", ha="center")
        axes.plot([release.delta], [release.epsilon], marker="o", markersize=9, color=BLUE, markerfacecolor="none", markeredgewidth=1.4)
        axes.set_xscale("log")
        axes.set_xticks(deltas, [sentences.delta(value) for value in deltas])
        axes.minorticks_off()
        axes.set(ylim=(0, 1.25 * max(epsilons)), xlabel="delta", ylabel="epsilon")
        axes.set_xlim(max(deltas) * 2.2, min(deltas) / 2.2)
        return svg(canvas, name="profile", title="Epsilon for each delta; the ring marks the claimed pair")


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
        canvas = Canvas(figsize=(8.0, inches))
        left = min(0.4, 0.02 + max(len(arm.label) for arm in arms) * 5.1 / 576)     # points of a letter over points of the width
        room = {"left": left, "right": 0.985, "bottom": 0.46 / inches, "top": 0.995, "wspace": 0.06}
        grid = canvas.subplots(1, len(panels), sharey=True, squeeze=False, gridspec_kw=room)[0]
        for axes, (label, figures, floor, falling) in zip(grid, panels, strict=True):
            _ladder_panel(axes, arms=arms, figures=figures, floor=floor, falling=falling)
            axes.set_xlabel(f"{label}, better →")
        grid[0].set_yticks(range(len(arms)), [arm.label for arm in arms])
        for tick, arm in zip(grid[0].get_yticklabels(), arms, strict=True):
            tick.set(color=BLUE if arm.name == "synthrec" else INK, fontweight="bold" if arm.name == "synthrec" else "normal")
        return svg(canvas, name="ladder", title="Utility of each arm between knowing nothing and the real log, with intervals")


def scale_strip(*, low: float, high: float, marks: Sequence[tuple[float, str]], figure: Figure | None, name: str, title: str) -> str:
    """A tile's little axis: marks with a word each, and one figure with its interval in blue; all of it within `low` and `high`."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=(2.4, 0.7))
        axes = canvas.add_axes((0.04, 0.05, 0.92, 0.9))
        axes.set_axis_off()
        axes.set(xlim=(low, high), ylim=(-1, 1))
        axes.plot((low, high), (0, 0), color=HAIR, linewidth=3, zorder=1, clip_on=False)
        for x, word in marks:
            side = "left" if x <= low + 0.15 * (high - low) else "right" if x >= high - 0.15 * (high - low) else "center"
            axes.plot((x, x), (-0.3, 0.3), color=INK, linewidth=1.4, zorder=3, clip_on=False)
            axes.text(x, -0.95, word, ha=side, va="bottom", fontsize=10.5, color=MUTED)
        if figure is not None:
            axes.plot((figure.low, figure.high), (0, 0), color=BLUE, linewidth=3, zorder=2, clip_on=False)
            axes.plot([figure.value], [0], marker="o", markersize=7, color=BLUE, zorder=4, clip_on=False)
        return svg(canvas, name=name, title=title)


def _ladder_panel(axes: Axes, *, arms: Sequence[Arm], figures: dict[str, Figure | None], floor: str, falling: bool) -> None:
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
        words = sentences.number(figure.value) + (" fails realism" if failed else "")
        axes.annotate(words, (figure.value, row), xytext=(5, 5), textcoords="offset points", ha="left", fontsize=8, color=colour)
    known = [figure for figure in figures.values() if figure is not None]
    left, right = min(figure.low for figure in known), max(figure.high for figure in known)
    margin = 0.16 * (right - left or 1.0)
    left, right = left - margin, right + margin
    axes.set_xlim((right, left) if falling else (left, right))
    axes.set_ylim(-0.5, len(arms) - 0.3)
    axes.locator_params(axis="x", nbins=5)
    axes.spines["left"].set_visible(False)


def _whisker(axes: Axes, x: float, figure: Figure) -> None:
    axes.plot((x, x), (figure.low, figure.high), color=BLUE, linewidth=1.4, zorder=5)
    axes.plot([x], [figure.value], marker="o", markersize=6, color=BLUE, zorder=5)


def _percent_ticks(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def svg(canvas: Canvas, *, name: str, title: str) -> str:
    """The figure as an inline element: no prolog, no metadata, ids of its own, a title for screen readers."""
    buffer = io.StringIO()
    canvas.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\sid="', f' id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    width = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert width is not None, "matplotlib writes a view box"
    head = (
        f'<svg class="plot-{name}" viewBox="0 0 {width[1]} {width[2]}" role="img" aria-label="{title}" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return head + text[text.index(">") + 1 :].strip()
