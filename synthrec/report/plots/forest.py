"""Forest plot: every attack with its interval, beside guessing, what could have been found, the controls, and the proved bound."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Attack, Membership
from synthrec.report import words
from synthrec.report.plots.style import BLUE, GREEN, HAIR, INK, MUTED, SMALL, STYLE, TEXT, WASH, WIDE, bare, dot, svg

Line = tuple[str, str, Attack | None, float | None, str]       # kind, label, attack, AUC alone, remark


def forest(membership: Membership) -> str:
    """AUC to the right; the attack with the highest lower limit is blue."""
    rows = _rows(membership)
    bound = membership.bound
    with rc_context(STYLE):
        inches = 0.27 * len(rows) + 0.85
        canvas = Canvas(figsize=(WIDE, inches))
        axes = canvas.add_axes((0.35, 0.5 / inches, 0.4, 1 - 0.85 / inches))
        figures = [attack.auc for attack in (*membership.attacks, *membership.controls.blind)]
        left = min(0.45, *(figure.low for figure in figures)) - 0.01
        axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)), zorder=1)
        axes.text(0.5, -0.85, "guessing", ha="right", color=MUTED, fontsize=SMALL)
        if bound is not None:
            axes.axvspan(bound.auc, 1.0, color=WASH, linewidth=0, zorder=0)
            axes.axvline(bound.auc, color=INK, linewidth=1.2, zorder=1)
            axes.text(bound.auc, -0.85, f"proved limit {words.rounded_up(bound.auc, digits=3)}", fontsize=SMALL,
                      ha="right" if bound.auc > 0.75 else "left")
        for place, (kind, label, attack, value, note) in enumerate(rows):
            mine = attack is not None and kind == "attack" and attack.name == membership.headline
            colour = BLUE if mine else INK
            beside: Any = {"transform": axes.get_yaxis_transform(), "va": "center"}
            axes.text(-0.02, place, label, ha="right", color=MUTED if kind == "head" else colour, fontweight="bold" if mine else "normal",
                      fontsize=TEXT if kind == "attack" else SMALL, **beside)
            axes.text(1.05, place, note, ha="left", color=colour, fontsize=SMALL, **beside)
            if attack is not None:
                dot(axes, attack.auc, row=place, colour=colour, hollow=kind == "blind", marker="D" if kind == "blind" else "o",
                    size=4.5 if kind == "blind" else 6)
                if kind == "attack":
                    axes.plot([attack.detectable_auc], [place], marker="|", markersize=9, markeredgewidth=1.4, color=GREEN, zorder=2)
            elif value is not None:
                axes.plot([value], [place], marker="^", markersize=6, color=GREEN, zorder=3, clip_on=False)
            if kind == "head":
                axes.axhline(place + 0.5, xmin=-0.86, xmax=1.6, color=HAIR, linewidth=0.8, clip_on=False)
        bare(axes, rows=len(rows))
        axes.set(xlim=(left, 1.0), yticks=[], xlabel="AUC: 0.5 tells nothing, 1 tells everybody")
        return svg(canvas, name="forest", title="Every attack with its interval, controls, and what could have been found")


def _rows(membership: Membership) -> list[Line]:
    controls = membership.controls
    rows: list[Line] = [("head", "attacks on this release", None, None, "AUC (interval), corrected p")]
    rows += [("attack", each.name, each, None, f"{words.number(each.auc.value)} ({words.interval(each.auc)}), p {each.p_holm:.2f}")
             for each in membership.attacks]
    if controls.blind:
        worst = max(controls.blind, key=lambda each: each.auc.low)
        rows.append(("head", "the same without the synthetic log: nothing to find", None, None, ""))
        rows.append(("blind", f"strongest of {len(controls.blind)}: {worst.name}", worst, None,
                     f"{words.number(worst.auc.value)} ({words.interval(worst.auc)})"))
    if controls.leaks:
        rows.append(("head", "planted leaks: training users among the synthetic", None, None, "AUC, found in"))
        rows += [("leak", f"{words.percent(each.share)} of the synthetic users", None, each.auc,
                  f"{words.number(each.auc)}, {words.percent(each.found.value)} of {each.draws} draws") for each in controls.leaks]
    return rows
