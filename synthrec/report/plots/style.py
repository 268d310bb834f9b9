"""One look for all pictures, what several of them draw, and the way from a figure to inline SVG
that is byte-identical for equal records.

Text stays text (the page's own font, readable by search and by screen readers); no script, no date,
nothing from outside the page. Colours are Okabe and Ito's, which colour-blind readers tell apart;
no meaning hangs on colour alone.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from synthrec.audit.record import Figure

INK, MUTED, HAIR, WASH = "#1d2733", "#5a6675", "#d9dfe6", "#f1f4f7"
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#e69f00",
    "#56b4e9",
    "#cc79a7",
)
SMALL, TEXT = 8.0, 9.0
WIDE = 8.3  # inches: the width of the page's column
PIXELS = 103  # of the page to an inch, so that letters are as large as the page's small ones
NO_XML = re.compile(
    "[^\t\n\r -~\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
)  # control characters and the like
STYLE: Any = {
    "svg.hashsalt": "synthrec",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": TEXT,
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
styled = rc_context(STYLE)  # of a plot: drawn in the one look, whatever the process has set


def rows_of_one_axis(
    rows: int, *, row: float, room: float, left: float, width: float, bottom: float, used: float
) -> tuple[Canvas, Axes]:
    """A canvas as wide as the page with one axis for so many rows.

    Args:
        row: inches of each. room: inches beside the rows. left, width: of the axis, parts of the
        canvas. bottom: inches below the axis. used: inches above and below it.
    """
    inches = row * rows + room
    canvas = Canvas(figsize=(WIDE, inches))
    return canvas, canvas.add_axes((left, bottom / inches, width, 1 - used / inches))


def beside(axes: Axes) -> Any:
    """Of a text: x in parts of the axis, y a row."""
    return {"transform": axes.get_yaxis_transform(), "va": "center"}


def key(
    axes: Axes, entries: Sequence[tuple[str, str, str]], *, row: float, left: float, step: float
) -> None:
    """What marks mean, side by side above the rows: (mark, colour, label)."""
    for n, (mark, colour, label) in enumerate(entries):
        words = f"{mark} {label}"
        axes.text(left + step * n, row, words, fontsize=SMALL, color=colour, **beside(axes))


def dot(
    axes: Axes,
    figure: Figure,
    *,
    row: float,
    colour: str = INK,
    marker: str = "o",
    hollow: bool = False,
    size: float = 6.0,
    clip: bool = False,
) -> None:
    """A statistic and its interval, lying; what is outside the axis is drawn, too, but for `clip`."""
    axes.plot(
        (figure.low, figure.high), (row, row), color=colour, linewidth=1.6, zorder=2, clip_on=clip
    )
    axes.plot(
        [figure.value],
        [row],
        marker=marker,
        markersize=size,
        color=colour,
        markerfacecolor="white" if hollow else colour,
        zorder=3,
        clip_on=clip,
    )


def bare(axes: Axes, *, rows: int, room: float = 0.6) -> None:
    """An axis of rows, the first on top, without its left line."""
    axes.set_ylim(rows - 1 + room, -room)
    axes.spines["left"].set_visible(False)


def finished(
    canvas: Canvas,
    axes: Axes,
    *,
    rows: int,
    xlim: tuple[float, float | None],
    xlabel: str,
    name: str,
    title: str,
    room: float = 0.6,
) -> Markup:
    """A picture of rows on one axis, as `bare` and `svg` have it."""
    bare(axes, rows=rows, room=room)
    axes.set(xlim=xlim, yticks=[], xlabel=xlabel)
    return svg(canvas, name=name, title=title)


def percent_ticks(axes: Axes, *, both: bool = False) -> None:
    """Shares as percentages."""
    for each in (axes.xaxis, axes.yaxis) if both else (axes.xaxis,):
        each.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


def svg(canvas: Canvas, *, name: str, title: str) -> Markup:
    """The figure as an inline element: no prolog, no metadata, ids of its own, a title for screen
    readers.

    Guarantees: markup is matplotlib's or stands here; `title`, like every text that matplotlib
    writes, is escaped.
    """
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "Glyph .* missing"
        )  # the reader's own fonts draw the text
        canvas.savefig(
            buffer,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = buffer.getvalue()
    text = NO_XML.sub("\ufffd", text[text.index("<svg") :])
    for pattern, written in (
        (r"(?s)<metadata>.*?</metadata>\s*", ""),
        (r'\sid="', f' id="{name}-'),
        (r"url\(#", f"url(#{name}-"),
        (r'xlink:href="#', f'xlink:href="#{name}-'),
        (r"(\d\.\d{3})\d+", r"\1"),  # a thousandth of a point is enough
    ):
        text = re.sub(pattern, written, text)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert box is not None, "matplotlib writes a view box"
    pixels = float(box[1]) / 72 * PIXELS
    head = Markup(
        '<svg class="plot-{name}" viewBox="0 0 {wide} {tall}" style="max-width:{most:.0f}px;min-width:{least:.0f}px" '
        'role="img" aria-label="{title}" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    ).format(
        name=name,
        wide=box[1],
        tall=box[2],
        most=pixels,
        least=min(600.0, 0.75 * pixels),
        title=NO_XML.sub("\ufffd", title),
    )
    return head + Markup(text[text.index(">") + 1 :].strip())


@styled
def scale_strip(
    *,
    low: float,
    high: float,
    marks: Sequence[tuple[float, str]],
    figure: Figure | None,
    name: str,
    title: str,
) -> str:
    """A tile's little axis: marks with a word each, and one figure with its interval in blue; all
    of it within `low` and `high`.
    """
    canvas = Canvas(figsize=(2.4, 0.7))
    axes = canvas.add_axes((0.04, 0.05, 0.92, 0.9))
    axes.set_axis_off()
    axes.set(xlim=(low, high), ylim=(-1, 1))
    axes.plot((low, high), (0, 0), color=HAIR, linewidth=3, zorder=1, clip_on=False)
    for x, word in marks:
        side = (
            "left"
            if x <= low + 0.15 * (high - low)
            else "right"
            if x >= high - 0.15 * (high - low)
            else "center"
        )
        axes.plot((x, x), (-0.3, 0.3), color=INK, linewidth=1.4, zorder=3, clip_on=False)
        axes.text(x, -0.95, word, ha=side, va="bottom", fontsize=10.5, color=MUTED)
    if figure is not None:
        axes.plot(
            (figure.low, figure.high), (0, 0), color=BLUE, linewidth=3, zorder=2, clip_on=False
        )
        axes.plot(
            [figure.value], [0], marker="o", markersize=7, color=BLUE, zorder=4, clip_on=False
        )
    return svg(canvas, name=name, title=title)
