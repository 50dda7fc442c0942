"""Curves as PNG files, for reports that leave the terminal."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.files import atomic_path
from tmssl.text import safe

if TYPE_CHECKING:
    from tui.charts.chart import Chart

_INCHES = (8.0, 4.0)
_DPI = 120
_ON_WHITE = 1  # of the two grounds of the theme
_POINTS = 2000  # buckets; what lies between them would not be seen


def save_chart(chart: "Chart", path: Path, across: str) -> None:
    """Write a chart as a PNG of 960 x 480 pixels.

    Args:
        chart: what to draw.
        path: the file, replaced if it is there.
        across: name of the horizontal axis.
    """
    # Without a home, it would tell at length that it keeps nothing.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from tui.charts.raster import ordered, thinned
    from tui.theme import COLOURS

    figure = Figure(figsize=_INCHES, dpi=_DPI, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for series in chart.series:
        axes.plot(
            *thinned(*ordered(series.x, series.y), _POINTS),
            ":" if series.dotted else "-",
            color=COLOURS[series.colour][_ON_WHITE],
            label=safe(series.name),
            linewidth=1.2,
        )
    for place in chart.segment_starts:
        axes.axvline(place, color=COLOURS["magenta"][_ON_WHITE], linewidth=0.8)
    if chart.log:
        axes.set_yscale("log")
    axes.set_title(safe(chart.title))
    axes.set_xlabel(across)
    axes.grid(alpha=0.3)
    if chart.series:
        axes.legend(loc="best", fontsize="small")
    with atomic_path(path) as fresh:
        figure.savefig(fresh, format="png")
