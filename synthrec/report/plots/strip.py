"""A tile's little axis."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas

from synthrec.audit.figure import Figure
from synthrec.report.plots.style import BLUE, HAIR, INK, MUTED, STYLE, svg


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
