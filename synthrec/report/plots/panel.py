"""Recommenders trained on the real and on the synthetic log, in the order that the real log gives them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.utility_record import PanelRow
from synthrec.report.plots.style import BLUE, GREEN, HAIR, INK, SMALL, STYLE, WIDE, bare, dot, svg


def panel(found: Sequence[PanelRow]) -> str:
    """One row a recommender; agreeing orders fall alike in all three columns of dots."""
    rows = sorted(found, key=lambda row: -row.real.value)
    with rc_context(STYLE):
        inches = 0.4 * len(rows) + 0.85
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.24, 0.5 / inches, 0.72, 1 - 0.85 / inches))
        for place, row in enumerate(rows):
            dot(axes, row.real, row=place - 0.22, colour=INK, size=5)
            dot(axes, row.synthetic, row=place, colour=BLUE, size=5, marker="D")
            dot(axes, row.receiver, row=place + 0.22, colour=GREEN, size=5, marker="s", hollow=True)
            axes.text(-0.02, place, row.name, transform=axes.get_yaxis_transform(), ha="right", va="center")
            axes.axhline(place + 0.5, xmin=-0.3, color=HAIR, linewidth=0.6, clip_on=False)
        key = (("●", INK, "real log, real users"), ("◆", BLUE, "synthetic log, real users"), ("□", GREEN, "synthetic log, synthetic users"))
        for place, (mark, colour, label) in enumerate(key):
            axes.text(0.34 * place, -0.68, f"{mark} {label}", transform=axes.get_yaxis_transform(), fontsize=SMALL, color=colour,
                      va="center")
        bare(axes, rows=len(rows), room=0.5)
        axes.set(xlim=(0, None), yticks=[], xlabel="NDCG@10: trained on, scored on")
        return svg(canvas, name="panel", title="Ranking quality of recommenders by the log that they were trained and scored on")
