"""Measured ROC under the proved curve; without a membership test the proved curve alone."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import AttackBound, Membership
from synthrec.report import words
from synthrec.report.plots.style import BLUE, INK, MUTED, SKY, STYLE, WASH, percent_ticks, svg

TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1]


def roc(bound: AttackBound, *, membership: Membership | None) -> str:
    """False alarms to the right, hits upwards."""
    with rc_context(STYLE):
        canvas = Canvas(figsize=(6.6, 4.8))
        axes = canvas.add_axes((0.11, 0.1, 0.86, 0.87))
        x, y = zip(*bound.roc, strict=True) if bound.roc else ((), ())
        axes.fill_between(x, y, 1.0, color=WASH, linewidth=0, zorder=0)
        axes.plot(x, y, color=INK, linewidth=1.6, zorder=4, clip_on=False)
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=(0, (1, 3)), zorder=1)
        axes.text(0.03, 0.985, "out of reach", color=MUTED, va="top", ha="left", fontsize=8)
        key: list[tuple[str, str, str, Any]] = [("proved limit of any attacker", f"AUC {words.rounded_up(bound.auc, digits=3)}", INK, "-")]
        if membership is not None:
            attack = membership.strongest
            others = [other for other in membership.attacks if other.name != attack.name]
            for other in others:
                axes.plot(*zip(*other.roc, strict=True), color=SKY, linewidth=0.8, zorder=2, clip_on=False)
            axes.plot(*zip(*attack.roc, strict=True), color=BLUE, linewidth=2.2, zorder=3, clip_on=False)
            axes.plot((attack.fpr, attack.fpr), (attack.tpr.low, attack.tpr.high), color=BLUE, linewidth=1.4, zorder=5)
            axes.plot([attack.fpr], [attack.tpr.value], marker="o", markersize=6, color=BLUE, zorder=5)
            key.append((f"strongest: {attack.name}", f"AUC {words.number(attack.auc.value)}", BLUE, "-"))
            if others:
                most = max(other.auc.value for other in others)
                key.append((f"{len(others)} other attacks", f"AUC up to {words.number(most)}", SKY, "-"))
        key.append(("guessing", "AUC 0.500", MUTED, (0, (1, 3))))
        for row, (what, value, colour, dashes) in enumerate(key):
            height = 0.055 + 0.07 * (len(key) - 1 - row)
            axes.plot((0.34, 0.385), (height, height), color=colour, linewidth=2, linestyle=dashes, zorder=6)
            axes.text(0.4, height, what, va="center", ha="left", zorder=6, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})
            axes.text(1.0, height, value, va="center", ha="right", color=MUTED, zorder=6,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0})
        axes.set(xlim=(0, 1), ylim=(0, 1.0), xlabel="false alarms: share of people outside, called members", xticks=TICKS, yticks=TICKS[1:])
        axes.set_ylabel("hits: share of members recognised")
        percent_ticks(axes, both=True)
        return svg(canvas, name="roc", title="What the attacks reached, under what any attacker can reach at most")
