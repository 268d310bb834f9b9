"""What is promised and what attacks reach. Attacks: every one with its interval beside guessing, what
could have been found, the controls and the proved bound (forest); the three risks on members beside
people outside and guessing; the measured ROC under the proved curve, or that curve alone. Epsilon:
as claimed, as recomputed, as an attack could show it and what this audit could have shown at most;
for each delta; and what is spent of the owner's cap, by this release and by all of them, with what
was trained and never released apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Attack, AttackBound, Membership, Risk
from synthrec.report import sentences
from synthrec.report.plots.style import (
    BLUE,
    GREEN,
    HAIR,
    INK,
    MUTED,
    ORANGE,
    SKY,
    SMALL,
    TEXT,
    WASH,
    beside,
    dot,
    finished,
    key,
    percent_ticks,
    rows_of_one_axis,
    styled,
    svg,
)
from synthrec.report.record import ReleaseRecord

Line = tuple[str, str, Attack | None, float | None, str]  # kind, label, attack, AUC alone, remark


@styled
def forest(membership: Membership) -> str:
    """AUC to the right; the attack with the highest lower limit is blue."""
    rows, bound = _rows(membership), membership.bound
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.27, room=0.85, left=0.35, width=0.4, bottom=0.5, used=0.85
    )
    figures = [attack.auc for attack in (*membership.attacks, *membership.controls.blind)]
    left = min(0.45, *(figure.low for figure in figures)) - 0.01
    axes.axvline(0.5, color=MUTED, linewidth=0.9, linestyle=(0, (1, 3)), zorder=1)
    axes.text(0.5, -0.85, "guessing", ha="right", color=MUTED, fontsize=SMALL)
    if bound is not None:
        axes.axvspan(bound.auc, 1.0, color=WASH, linewidth=0, zorder=0)
        axes.axvline(bound.auc, color=INK, linewidth=1.2, zorder=1)
        axes.text(
            bound.auc,
            -0.85,
            f"proved limit {sentences.rounded_up(bound.auc, digits=3)}",
            fontsize=SMALL,
            ha="right" if bound.auc > 0.75 else "left",
        )
    for row, (kind, label, attack, value, note) in enumerate(rows):
        mine = kind == "attack" and label == membership.headline
        colour = BLUE if mine else INK
        axes.text(
            -0.02,
            row,
            label,
            ha="right",
            color=MUTED if kind == "head" else colour,
            fontweight="bold" if mine else "normal",
            fontsize=TEXT if kind == "attack" else SMALL,
            **beside(axes),
        )
        axes.text(1.05, row, note, ha="left", color=colour, fontsize=SMALL, **beside(axes))
        if attack is not None:
            dot(
                axes,
                attack.auc,
                row=row,
                colour=colour,
                hollow=kind == "blind",
                marker="D" if kind == "blind" else "o",
                size=4.5 if kind == "blind" else 6,
            )
            if kind == "attack":
                axes.plot(
                    [attack.detectable_auc],
                    [row],
                    marker="|",
                    markersize=9,
                    markeredgewidth=1.4,
                    color=GREEN,
                    zorder=2,
                )
        elif value is not None:
            axes.plot(
                [value], [row], marker="^", markersize=6, color=GREEN, zorder=3, clip_on=False
            )
        if kind == "head":
            axes.axhline(row + 0.5, xmin=-0.86, xmax=1.6, color=HAIR, linewidth=0.8, clip_on=False)
    return finished(
        canvas,
        axes,
        rows=len(rows),
        xlim=(left, 1.0),
        xlabel="AUC: 0.5 tells nothing, 1 tells everybody",
        name="forest",
        title="Every attack with its interval, controls, and what could have been found",
    )


def _rows(membership: Membership) -> list[Line]:
    controls = membership.controls
    strongest = sorted(controls.blind, key=lambda each: -each.auc.low)[:1]
    groups: tuple[tuple[str, str, list[Line]], ...] = (
        (
            "attacks on this release",
            "AUC (interval), corrected p",
            [
                ("attack", each.name, each, None, f"{_auc(each)}, p {each.p_holm:.2f}")
                for each in membership.attacks
            ],
        ),
        (
            "the same without the synthetic log: nothing to find",
            "",
            [
                (
                    "blind",
                    f"strongest of {len(controls.blind)}: {each.name}",
                    each,
                    None,
                    _auc(each),
                )
                for each in strongest
            ],
        ),
        (
            "planted leaks: training users among the synthetic",
            "AUC, found in",
            [
                (
                    "leak",
                    f"{sentences.percent(each.share)} of the synthetic users",
                    None,
                    each.auc,
                    f"{sentences.number(each.auc)}, {sentences.percent(each.found.value)} of {each.draws} draws",
                )
                for each in controls.leaks
            ],
        ),
    )
    return [
        row
        for head, note, rows in groups
        if rows
        for row in (("head", head, None, None, note), *rows)
    ]


def _auc(attack: Attack) -> str:
    return f"{sentences.number(attack.auc.value)} ({sentences.interval(attack.auc)})"


@styled
def risks(rows: Sequence[Risk]) -> str:
    """One row a setting; what lies between the two dots is what membership gives away."""
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.44, room=0.85, left=0.3, width=0.5, bottom=0.5, used=0.85
    )
    at_row = beside(axes)
    for row, risk in enumerate(rows):
        axes.plot(
            (risk.random.value, risk.random.value),
            (row - 0.3, row + 0.3),
            color=MUTED,
            linewidth=1.2,
        )
        dot(axes, risk.control, row=row + 0.15, colour=ORANGE, marker="s", hollow=True, size=5)
        dot(axes, risk.attack, row=row - 0.15, colour=BLUE, size=5)
        axes.text(-0.03, row - 0.14, risk.name, ha="right", **at_row)
        axes.text(
            -0.03, row + 0.22, risk.setting, ha="right", color=MUTED, fontsize=SMALL, **at_row
        )
        axes.text(
            1.02,
            row,
            f"{sentences.percent(risk.risk.value, digits=1)} ({sentences.interval(risk.risk, digits=1, as_percent=True)})",
            ha="left",
            fontsize=SMALL,
            **at_row,
        )
        axes.axhline(row + 0.5, xmin=-0.6, xmax=1.4, color=HAIR, linewidth=0.6, clip_on=False)
    axes.text(1.02, -0.62, "beyond control", fontsize=SMALL, color=MUTED, **at_row)
    marks = (("●", BLUE, "members"), ("□", ORANGE, "people outside"), ("|", MUTED, "guessing"))
    key(axes, marks, row=-0.62, left=0.02, step=0.27)
    most = max(max(risk.attack.high, risk.control.high, risk.random.value) for risk in rows)
    percent_ticks(axes)
    return finished(
        canvas,
        axes,
        rows=len(rows),
        room=0.55,
        xlim=(0, min(1.0, 1.05 * most) or 1),
        xlabel="share of people on whom the attack succeeds",
        name="risks",
        title="Success of three attacks on members, on people outside, and by guessing",
    )


TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1]


@styled
def roc(bound: AttackBound, membership: Membership | None) -> str:
    """False alarms to the right, hits upwards."""
    canvas = Canvas(figsize=(6.6, 4.8))
    axes = canvas.add_axes((0.11, 0.1, 0.86, 0.87))
    x, y = zip(*bound.roc, strict=True) if bound.roc else ((), ())
    axes.fill_between(x, y, 1.0, color=WASH, linewidth=0, zorder=0)
    axes.plot(x, y, color=INK, linewidth=1.6, zorder=4, clip_on=False)
    axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=(0, (1, 3)), zorder=1)
    axes.text(0.03, 0.985, "out of reach", color=MUTED, va="top", ha="left", fontsize=8)
    lines: list[tuple[str, str, str, Any]] = [
        (
            "proved limit of any attacker",
            f"AUC {sentences.rounded_up(bound.auc, digits=3)}",
            INK,
            "-",
        )
    ]
    if membership is not None:
        attack = membership.strongest
        others = [other for other in membership.attacks if other.name != attack.name]
        looks = [(other, SKY, 0.8, 2) for other in others] + [(attack, BLUE, 2.2, 3)]
        for each, colour, wide, order in looks:
            points = zip(*each.roc, strict=True)
            axes.plot(*points, color=colour, linewidth=wide, zorder=order, clip_on=False)
        axes.plot(
            (attack.fpr, attack.fpr),
            (attack.tpr.low, attack.tpr.high),
            color=BLUE,
            linewidth=1.4,
            zorder=5,
        )
        axes.plot([attack.fpr], [attack.tpr.value], marker="o", markersize=6, color=BLUE, zorder=5)
        most = max([other.auc.value for other in others], default=0.0)
        lines += [
            (f"strongest: {attack.name}", f"AUC {sentences.number(attack.auc.value)}", BLUE, "-"),
            (f"{len(others)} other attacks", f"AUC up to {sentences.number(most)}", SKY, "-"),
        ][: 1 + bool(others)]
    lines.append(("guessing", "AUC 0.500", MUTED, (0, (1, 3))))
    for row, (what, auc, colour, dashes) in enumerate(lines):
        height = 0.055 + 0.07 * (len(lines) - 1 - row)
        axes.plot(
            (0.34, 0.385),
            (height, height),
            color=colour,
            linewidth=2,
            linestyle=dashes,
            zorder=6,
        )
        for start, words, side, ink in ((0.4, what, "left", INK), (1.0, auc, "right", MUTED)):
            axes.text(
                start,
                height,
                words,
                va="center",
                ha=side,
                color=ink,
                zorder=6,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.0),
        xlabel="false alarms: share of people outside, called members",
        xticks=TICKS,
        yticks=TICKS[1:],
        ylabel="hits: share of members recognised",
    )
    percent_ticks(axes, both=True)
    return svg(
        canvas,
        name="roc",
        title="What the attacks reached, under what any attacker can reach at most",
    )


@styled
def axis(rows: Sequence[tuple[str, float, str, str]]) -> str:
    """Rows of (what it is, epsilon, "claim" | "shown" | "reach" | "budget", remark); bars from
    zero, so that lengths compare.
    """
    marks = {
        "claim": (BLUE, "o", True),
        "shown": (GREEN, ">", True),
        "reach": (MUTED, "|", False),
        "budget": (INK, "s", False),
    }
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.34, room=0.6, left=0.36, width=0.5, bottom=0.48, used=0.53
    )
    most = max(value for _, value, _, _ in rows)
    for row, (label, value, kind, remark) in enumerate(rows):
        colour, marker, filled = marks[kind]
        axes.plot(
            (0, value),
            (row, row),
            color=colour if filled else HAIR,
            linewidth=2.4 if filled else 1.6,
            zorder=1,
        )
        axes.plot(
            [value],
            [row],
            marker=marker,
            markersize=7,
            markeredgewidth=1.8,
            color=colour,
            markerfacecolor=colour if filled else "white",
            zorder=2,
            clip_on=False,
        )
        axes.text(
            -0.02,
            row,
            label,
            ha="right",
            **beside(axes),
            fontweight="bold" if kind == "claim" and row == 0 else "normal",
        )
        axes.annotate(
            remark,
            (value, row),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=MUTED,
        )
    return finished(
        canvas,
        axes,
        rows=len(rows),
        xlim=(-0.015 * most, 1.05 * most or 1),
        xlabel="epsilon",
        name="epsilon",
        title="Epsilon as claimed, as recomputed, and as the audit has and could have shown it",
    )


@styled
def profile(points: Sequence[tuple[float, float]], claimed: tuple[float, float]) -> str:
    """Epsilon as a function of delta, the claimed point ringed."""
    canvas = Canvas(figsize=(6.6, 2.5))
    axes = canvas.add_axes((0.1, 0.185, 0.875, 0.78))
    deltas, epsilons = zip(*points, strict=True)
    axes.plot(deltas, epsilons, color=BLUE, linewidth=2, marker="o", markersize=4)
    for x, y in points:
        axes.annotate(
            sentences.rounded_up(y),
            (x, y),
            xytext=(0, 9),
            textcoords="offset points",
            ha="center",
        )
    axes.plot(
        *claimed,
        marker="o",
        markersize=9,
        color=BLUE,
        markerfacecolor="none",
        markeredgewidth=1.4,
    )
    axes.set(xscale="log", ylim=(0, 1.25 * max(epsilons) or 1), xlabel="delta", ylabel="epsilon")
    axes.set_xticks(deltas, [sentences.delta(value) for value in deltas])
    axes.minorticks_off()
    axes.set_xlim(max(*deltas, claimed[0]) * 2.2, min(*deltas, claimed[0]) / 2.2)
    return svg(
        canvas, name="profile", title="Epsilon for each delta; the ring marks the claimed pair"
    )


Row = tuple[str, float | None, str, str]


def rows_of(release: ReleaseRecord) -> list[Row]:
    """What was spent: by whom, epsilon (None: no number), colour, remark."""
    both, internal = release.releases_before + 1, release.internal
    rows = (
        ("this release", release.epsilon, BLUE, "", True),
        (f"all {both} together", release.ledger_total, SKY, "", both > 1),
        (
            "internal trainings, outside the cap",
            internal.epsilon,
            "white",
            f"{internal.count}, ",
            internal.count > 0,
        ),
    )
    return [
        (
            label,
            epsilon if math.isfinite(epsilon) else None,
            colour,
            f"{count}ε = {sentences.rounded_up(epsilon)}",
        )
        for label, epsilon, colour, count, spent in rows
        if spent
    ]


@styled
def budget(rows: Sequence[Row], cap: float) -> str:
    """Bars from zero on one axis, the cap as a line; a bar of no number goes to the end."""
    most = max([value for _, value, _, _ in rows if value is not None] + [cap])
    canvas, axes = rows_of_one_axis(
        len(rows), row=0.36, room=0.85, left=0.3, width=0.66, bottom=0.48, used=0.78
    )
    for row, (label, value, colour, remark) in enumerate(rows):
        length = most if value is None else value
        axes.barh(
            row,
            length,
            height=0.42,
            color=colour,
            edgecolor=HAIR if colour == "white" else colour,
            linewidth=1.2,
        )
        axes.text(-0.02, row, label, ha="right", **beside(axes))
        axes.annotate(
            remark,
            (length, row),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=SMALL,
            color=MUTED,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
            zorder=5,
        )
    axes.axvline(cap, color=INK, linewidth=1.4)
    axes.text(cap, -0.75, f"the owner's cap {sentences.short(cap)}", ha="center", fontsize=SMALL)
    return finished(
        canvas,
        axes,
        rows=len(rows),
        xlim=(0, 1.3 * most or 1),
        xlabel="epsilon at the claimed delta",
        name="budget",
        title="Budget spent by this release and by all releases, beside the owner's cap",
    )
