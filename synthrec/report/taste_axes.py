"""The axes along which tastes differ, in words and as a picture: a record in, text and a standalone
SVG out.

An axis is a direction among items. Users at its one end pick (or rate higher) what lies at that
end; its names are the features that go with it, longest bar first.
"""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure as Canvas
from matplotlib.patches import FancyBboxPatch

from synthrec.report.plots.style import BLUE, MUTED, VERMILLION, WASH, styled, svg

ARROW = " <-> "
WIDTH = 10.5  # inches
ROW = 0.2  # inches
BAR = 0.5  # of a row
MAX_BAR = 0.62  # bar, of half a panel: a feature that goes with the axis entirely
LETTER = 0.031  # of half a panel, at most
COLUMNS = 36  # letters of an example


@dataclass(frozen=True)
class Name:
    """A feature at an end of an axis; `strength` is the size of its correlation with the axis over
    items, from 0 to 1.
    """

    label: str
    strength: float


@dataclass(frozen=True)
class End:
    """What lies at one end: features, strongest first, and well-known items."""

    names: tuple[Name, ...]
    items: tuple[str, ...]

    @property
    def words(self) -> str:
        """The names in a row."""
        return ", ".join(name.label for name in self.names) or "(no named feature)"


@dataclass(frozen=True)
class Axis:
    """One axis.

    `share`: of all differences between users of its kind, or None for a learned column; `spread`:
    standard deviation over users and items of what the axis adds, in log odds of a pick or in
    ratings.
    """

    title: str
    share: float | None
    spread: float | None
    low: End
    high: End

    @property
    def words(self) -> str:
        """Film-Noir, Drama, old <-> Action, Sci-Fi, popular."""
        return f"{self.low.words}{ARROW}{self.high.words}"


@dataclass(frozen=True)
class TasteAxes:
    """What a release's users differ in: `bias_share` is the part of rating differences that is
    rating everything higher or lower.
    """

    source: str
    release_id: str
    choosing: tuple[Axis, ...]
    rating: tuple[Axis, ...]
    bias_share: float | None
    learned: tuple[Axis, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        rating = f"How people rate: {_percent(self.bias_share)} of the differences is rating everything higher or lower; then"
        groups = (
            (
                "What people pick: the widest axes, with their share of the differences between users",
                self.choosing,
            ),
            (rating, self.rating),
            (
                "Learned columns: which items the same people hold, beyond what named features say",
                self.learned,
            ),
        )
        lines = [
            line
            for n, (head, axes) in enumerate(groups)
            if axes or not n
            for line in ("", head, *(line for axis in axes for line in _described(axis)))
        ]
        return lines[1:]


@styled
def picture(axes: TasteAxes) -> str:
    """A butterfly of bars for each axis, choosing above rating above learned columns."""
    groups = [
        group
        for group in (
            (
                "What people pick",
                "share of the differences between users; bars: how closely a feature goes with the axis",
                axes.choosing,
            ),
            (
                "How people rate",
                f"{_percent(axes.bias_share)} of the differences is rating everything higher or lower",
                axes.rating,
            ),
            (
                "Learned columns",
                "which items the same people hold, beyond what named features say",
                axes.learned,
            ),
        )
        if group[-1]
    ]
    heights = [[_rows(axis) for axis in group] for _, _, group in groups]
    pairs = [[max(rows[n : n + 2]) for n in range(0, len(rows), 2)] for rows in heights]
    inches = 0.2 + sum(0.55 + sum(ROW * rows + 0.4 for rows in lines) for lines in pairs)
    canvas = Canvas(figsize=(WIDTH, inches))
    top = inches - 0.1
    for (heading, gloss, group), lines in zip(groups, pairs, strict=True):
        canvas.text(
            0.03, (top - 0.16) / inches, heading, fontsize=13, fontweight="bold", va="center"
        )
        canvas.text(
            0.97,
            (top - 0.16) / inches,
            gloss,
            fontsize=9,
            color=MUTED,
            va="center",
            ha="right",
        )
        top -= 0.4
        for line, rows in enumerate(lines):
            tall = ROW * rows + 0.22
            for column, axis in enumerate(group[2 * line : 2 * line + 2]):
                _panel(
                    canvas,
                    axis,
                    left=0.03 + 0.485 * column,
                    bottom=(top - tall) / inches,
                    height=tall / inches,
                    tall=tall,
                    rows=rows,
                )
            top -= tall + 0.18
        top -= 0.15
    text = svg(
        canvas,
        name="taste-axes",
        title=f"Taste axes of {axes.source}, release {axes.release_id}",
    )
    head = text.index(">") + 1
    paper = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text[:head]}{paper}{text[head:]}\n'


def _panel(
    canvas: Canvas, axis: Axis, *, left: float, bottom: float, height: float, tall: float, rows: int
) -> None:
    """Title, bars of strength to either side with their names, examples below."""
    field = canvas.add_axes((left, bottom, 0.455, height))
    field.set_axis_off()
    field.set(xlim=(-1, 1), ylim=(rows + 0.3, -0.75))
    field.add_patch(
        FancyBboxPatch(
            (0, 0),
            1,
            1,
            boxstyle="round,pad=0.0,rounding_size=0.02",
            mutation_aspect=0.455 * WIDTH / tall,
            facecolor=WASH,
            edgecolor="none",
            transform=field.transAxes,
            clip_on=False,
            zorder=0,
        )
    )
    field.text(-0.95, 0, axis.title, ha="left", va="center", color=MUTED)
    field.text(
        0.95, 0, _percent(axis.share), ha="right", va="center", fontweight="bold", fontsize=11
    )
    bars = max(len(axis.low.names), len(axis.high.names), 1)
    field.plot((0, 0), (0.5, bars + 0.5), color=MUTED, linewidth=1, zorder=3)
    for end, side, colour, align in (
        (axis.low, -1, VERMILLION, "right"),
        (axis.high, 1, BLUE, "left"),
    ):
        for row, name in enumerate(end.names, start=1):
            length = MAX_BAR * name.strength
            field.barh(row, side * length, height=BAR, color=colour, linewidth=0, zorder=2)
            field.text(
                side * (length + 0.025),
                row,
                _cut(name.label, int((0.93 - length) / LETTER)),
                ha=align,
                va="center",
            )
        if not end.names:
            field.text(
                side * 0.025,
                1,
                "no named feature",
                ha=align,
                va="center",
                color=MUTED,
                fontstyle="italic",
            )
        for row, item in enumerate(end.items, start=bars + 1):
            field.text(
                side * 0.025,
                row + 0.1,
                _cut(item, COLUMNS),
                ha=align,
                va="center",
                color=MUTED,
                fontsize=8,
            )


def _rows(axis: Axis) -> int:
    """Lines of a panel: title, bars, examples."""
    return (
        1
        + max(len(axis.low.names), len(axis.high.names), 1)
        + max(len(axis.low.items), len(axis.high.items))
    )


def _described(axis: Axis) -> list[str]:
    share = "     " if axis.share is None else f"{_percent(axis.share):>5}"
    head = f"  {axis.title:<8}{share}  "
    examples = ARROW.join(", ".join(end.items) for end in (axis.low, axis.high))
    if not axis.low.names and not axis.high.names:
        return [head + examples]
    return [head + axis.words, " " * len(head) + f"such as {examples}"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.0f} %"


def _cut(label: str, letters: int) -> str:
    return label if len(label) <= letters else label[: max(1, letters - 1)].rstrip() + "…"
