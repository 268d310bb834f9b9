"""What is spent of the owner's cap, by this release and by all of them; what was trained and never released stands apart."""

from __future__ import annotations

import math

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.report import words
from synthrec.report.plots.style import BLUE, HAIR, INK, MUTED, SKY, SMALL, STYLE, WIDE, bare, svg
from synthrec.report.record import ReleaseRecord

Row = tuple[str, float | None, str, str]


def rows_of(release: ReleaseRecord) -> list[Row]:
    """What was spent: by whom, epsilon (None: no number), colour, remark."""
    rows = [("this release", release.epsilon, BLUE, f"ε = {words.rounded_up(release.epsilon)}")]
    if release.releases_before:
        both = words.rounded_up(release.ledger_total)
        rows.append((f"all {release.releases_before + 1} together", release.ledger_total, SKY, f"ε = {both}"))
    if release.internal.count:
        rows.append(("internal trainings, outside the cap", release.internal.epsilon, "white",
                     f"{release.internal.count}, ε = {words.rounded_up(release.internal.epsilon)}"))
    return [(label, value if math.isfinite(value) else None, colour, remark) for label, value, colour, remark in rows]


def budget(rows: list[Row], *, cap: float) -> str:
    """Bars from zero on one axis, the cap as a line; a bar of no number goes to the end."""
    most = max([value for _, value, _, _ in rows if value is not None] + [cap])
    with rc_context(STYLE):
        inches = 0.36 * len(rows) + 0.85
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.3, 0.48 / inches, 0.66, 1 - 0.78 / inches))
        for place, (label, value, colour, remark) in enumerate(rows):
            length = most if value is None else value
            axes.barh(place, length, height=0.42, color=colour, edgecolor=HAIR if colour == "white" else colour, linewidth=1.2)
            axes.text(-0.02, place, label, transform=axes.get_yaxis_transform(), ha="right", va="center")
            axes.annotate(remark, (length, place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=SMALL, color=MUTED,
                          bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5}, zorder=5)
        axes.axvline(cap, color=INK, linewidth=1.4)
        axes.text(cap, -0.75, f"the owner's cap {words.short(cap)}", ha="center", fontsize=SMALL)
        bare(axes, rows=len(rows))
        axes.set(xlim=(0, 1.3 * most or 1), yticks=[], xlabel="epsilon at the claimed delta")
        return svg(canvas, name="budget", title="Budget spent by this release and by all releases, beside the owner's cap")
