"""The reference releases in one picture: what is proved, what was measured, what it is worth; one
row a release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import AuditRecord
from synthrec.report.plots.style import (
    BLUE,
    INK,
    MUTED,
    SMALL,
    STYLE,
    WASH,
    bare,
    dot,
    percent_ticks,
    svg,
)


def compared(found: Mapping[str, tuple[Any, AuditRecord, Any]]) -> str:
    """Left: the strongest attack under the proved limit. Right: the gap closed in rating error and
    in ranking.
    """
    with rc_context(STYLE):
        inches = 0.5 * len(found) + 0.85
        canvas = Canvas(figsize=(10.4, inches))
        bottom, tall = 0.5 / inches, 1 - 0.85 / inches
        attack, use = (
            canvas.add_axes((0.17, bottom, 0.36, tall)),
            canvas.add_axes((0.58, bottom, 0.4, tall)),
        )
        for place, (name, (release, audit, _)) in enumerate(found.items()):
            attack.axhspan(place - 0.28, place + 0.28, xmin=0, color=WASH, linewidth=0, zorder=0)
            attack.plot(
                (release.bound.auc, release.bound.auc),
                (place - 0.28, place + 0.28),
                color=INK,
                linewidth=1.6,
            )
            if audit.membership is not None:
                dot(attack, audit.membership.strongest.auc, row=place, colour=BLUE)
            attack.text(
                -0.03, place, name, transform=attack.get_yaxis_transform(), ha="right", va="center"
            )
            protocol = None if audit.utility is None else audit.utility.protocol
            for arm in () if protocol is None else protocol.ladder:
                if arm.name in ("synthrec", "moments"):
                    mine = arm.name == "synthrec"
                    for shift, figure, marker in (
                        (-0.14, arm.gap_closed, "o"),
                        (0.14, arm.ranking_gap_closed, "D"),
                    ):
                        if figure is not None:
                            dot(
                                use,
                                figure,
                                row=place + shift,
                                colour=BLUE if mine else MUTED,
                                marker=marker,
                                hollow=not mine,
                                size=5,
                            )
        for axes in (attack, use):
            bare(axes, rows=len(found))
            axes.set_yticks([])
        attack.set(xlim=(0.4, 1.0), xlabel="AUC of the strongest attack")
        attack.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)))
        attack.text(0.5, -0.75, "guessing", ha="center", fontsize=SMALL, color=MUTED)
        attack.text(1.0, -0.75, "| proved limit", ha="right", fontsize=SMALL)
        use.axvline(0, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)))
        use.axvline(1, color=MUTED, linewidth=0.9)
        least = min([-0.1, *(line.get_xdata()[0] - 0.02 for line in use.lines)])
        use.set(xlim=(least, 1.05), xlabel="gap closed to the real log")
        use.text(
            0.0,
            -0.75,
            "● rating error  ◆ ranking; filled: synthrec, hollow: DP moments",
            transform=use.get_yaxis_transform(),
            fontsize=SMALL,
            color=MUTED,
        )
        percent_ticks(use)
        return svg(
            canvas,
            name="compared",
            title="The strongest attack under its proved limit, and use, for each reference release",
        )
