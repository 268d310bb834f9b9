"""The three risks: success on members beside success on people outside, and beside guessing."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Disclosure
from synthrec.report import words
from synthrec.report.plots.style import BLUE, HAIR, MUTED, ORANGE, SMALL, STYLE, WIDE, bare, dot, percent_ticks, svg


def risks(disclosure: Disclosure) -> str:
    """One row a setting; what lies between the two dots is what membership gives away."""
    rows = disclosure.risks
    with rc_context(STYLE):
        inches = 0.44 * len(rows) + 0.85
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.3, 0.5 / inches, 0.5, 1 - 0.85 / inches))
        beside: Any = {"transform": axes.get_yaxis_transform(), "va": "center"}
        for place, risk in enumerate(rows):
            axes.plot((risk.random.value, risk.random.value), (place - 0.3, place + 0.3), color=MUTED, linewidth=1.2)
            dot(axes, risk.control, row=place + 0.15, colour=ORANGE, marker="s", hollow=True, size=5)
            dot(axes, risk.attack, row=place - 0.15, colour=BLUE, size=5)
            axes.text(-0.03, place - 0.14, risk.name, ha="right", **beside)
            axes.text(-0.03, place + 0.22, risk.setting, ha="right", color=MUTED, fontsize=SMALL, **beside)
            axes.text(1.02, place, f"{words.percent(risk.risk.value, digits=1)} ({words.interval(risk.risk, digits=1, as_percent=True)})",
                      ha="left", fontsize=SMALL, **beside)
            axes.axhline(place + 0.5, xmin=-0.6, xmax=1.4, color=HAIR, linewidth=0.6, clip_on=False)
        axes.text(1.02, -0.62, "beyond control", fontsize=SMALL, color=MUTED, **beside)
        for place, (mark, colour, label) in enumerate((("●", BLUE, "members"), ("□", ORANGE, "people outside"), ("|", MUTED, "guessing"))):
            axes.text(0.02 + 0.27 * place, -0.62, f"{mark} {label}", fontsize=SMALL, color=colour, **beside)
        bare(axes, rows=len(rows), room=0.55)
        most = max(max(risk.attack.high, risk.control.high, risk.random.value) for risk in rows)
        axes.set(xlim=(0, min(1.0, 1.05 * most) or 1), yticks=[], xlabel="share of people on whom the attack succeeds")
        percent_ticks(axes)
        return svg(canvas, name="risks", title="Success of three attacks on members, on people outside, and by guessing")
