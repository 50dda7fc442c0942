"""Renders a chart as lines of terminal cells: plotext draws the axes, `cells` the curves.

This is the only module that uses plotext, which keeps global state. The curves of plotext are slow: four curves of
500 points take 300 ms, braille cells 1 ms.
"""

import dataclasses
import functools
import threading
from typing import TYPE_CHECKING

from rich.text import Text

from tmssl.text import number
from tui.charts.axes import hours_label, label, log_ticks, round_limits, ticks
from tui.charts.cells import ASCII_DOTS, MARKERS, CellGrid, PlotArea
from tui.charts.chart import Chart, Series
from tui.options import FULL, DisplayOptions
from tui.theme import StyleOf, colour_styles

if TYPE_CHECKING:
    from tmssl.types import Floats

    SeriesArrays = tuple[Series, Floats, Floats]
Limits = tuple[float, float]

_FRAME = 2  # cells of a title's line that are the frame's, the least
_PLOTEXT_LOCK = threading.Lock()
_ASCII_FRAME = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


@dataclasses.dataclass(frozen=True, eq=False)
class RenderedChart:
    """The lines of a rendered chart from top to bottom, and where the curves are in them."""

    lines: tuple[Text, ...]
    chart: Chart
    plot: PlotArea | None = None
    symbols: tuple[str, ...] = ()
    """the legend symbol of each series"""
    style_of: StyleOf = str


def render_string(chart: Chart, width: int, height: int, options: DisplayOptions = FULL) -> str:
    """A chart of `width` x `height` cells as a string, with ANSI colours unless the options forbid them."""
    import io

    from rich.console import Console

    lines = render_chart(chart, width, height, options).lines
    if not options.colour:
        return "\n".join(line.plain.rstrip() for line in lines)
    console = Console(
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        width=width + 1,
        no_color=False,
    )
    with console.capture() as captured:
        console.print(Text("\n").join(lines), soft_wrap=True, end="", highlight=False)
    return captured.get()


def render_text(chart: Chart, size: tuple[int, int], options: DisplayOptions) -> Text:
    """A chart of (columns, rows) cells as one text."""
    return Text("\n").join(render_chart(chart, *size, options).lines)


def render_chart(
    chart: Chart,
    width: int,
    height: int,
    options: DisplayOptions = FULL,
    *,
    framed: bool = False,
) -> RenderedChart:
    """A chart rendered on `width` x `height` cells, the first line of which is its head.

    A `framed` chart has its head in a frame, which takes some of the width.
    It raises nothing for any data: a value that cannot be drawn is a gap.
    """
    if width < 16 or height < 4:
        return RenderedChart((), chart)
    style_of = colour_styles(options)
    arrays = _series_arrays(chart)
    head = _head(chart, arrays, width - _FRAME * framed, options)
    if not any(len(x) for _, x, _ in arrays):
        empty = Text().append(f"  {chart.empty}", style_of("axis"))
        return RenderedChart((head, Text(), empty), chart)
    x_limits = _x_limits(chart, arrays)
    y_limits = _y_limits(chart, arrays, x_limits)
    axes = _axes(chart, x_limits, y_limits, width, height)
    frame = _frame(axes, width, height - 1, options.ascii)
    left = len(frame[-2]) - len(frame[-2].lstrip(" ")) + 1
    plot = PlotArea(left, 1, width - left, height - 3, x_limits)
    grid = CellGrid(plot, options.ascii)
    for series, x, y in arrays:
        grid.draw_series(series, x, y, y_limits)
    grid.draw_markers(chart)
    lines = [head]
    for row, axes_line in enumerate(frame):
        text = Text(no_wrap=True).append(axes_line[: plot.left], style_of("axis"))
        if row < plot.rows:
            grid.append_row(row, text, style_of)
        else:
            text.append(axes_line[plot.left :], style_of("axis"))
        lines.append(text)
    solid = [series for series in chart.series if not series.dotted]
    symbols = tuple(_symbol(series, solid, options) for series in chart.series)
    return RenderedChart(tuple(lines), chart, plot, symbols, style_of)


def _series_arrays(chart: Chart) -> "list[SeriesArrays]":
    """Each series that has a finite value as arrays; on a logarithmic axis y is the exponent of ten."""
    import numpy as np

    from tui.charts.raster import ordered

    arrays = []
    for series in chart.series:
        x, y = ordered(series.x, series.y)
        if chart.log:
            y = np.log10(y, out=np.full(len(y), np.nan), where=y > 0)
        if np.isfinite(y).any():
            arrays.append((series, x, y))
    return arrays


def _x_limits(chart: Chart, arrays: "list[SeriesArrays]") -> Limits:
    """The zoom window, or round limits around all points, which change seldom while a run grows."""
    if chart.window is not None:
        return chart.window
    low = min(float(x[0]) for _, x, _ in arrays)
    high = max(float(x[-1]) for _, x, _ in arrays)
    if high - low < 1e-9 * max(1e-9, abs(high)):
        return round_limits(low, high)
    return round_limits(low, high, 40)


def _y_limits(chart: Chart, arrays: "list[SeriesArrays]", x_limits: Limits) -> Limits:
    """Round limits around the points between two x."""
    import numpy as np

    extremes: list[float] = []
    zoomed = chart.window is not None
    for series, x, y in arrays:
        if zoomed and series.dotted and np.nanmin(y) == np.nanmax(y) and len(arrays) > 1:
            continue  # a distant level line would flatten the curves in the zoom window
        begin, end = np.searchsorted(x, x_limits[0]), np.searchsorted(x, x_limits[1], "right")
        visible = y[max(0, begin - 1) : end + 1]
        visible = visible[np.isfinite(visible)]
        if len(visible):
            percentiles = (1, 99) if chart.clipped else (0, 100)
            extremes += [float(value) for value in np.percentile(visible, percentiles)]
    return round_limits(min(extremes), max(extremes), 16) if extremes else (0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class _Axes:
    """Ticks as shares of each axis, 0 to 1, with their labels."""

    x_ticks: tuple[float, ...]
    x_labels: tuple[str, ...]
    y_ticks: tuple[float, ...]
    y_labels: tuple[str, ...]


def _axes(chart: Chart, x_limits: Limits, y_limits: Limits, width: int, height: int) -> _Axes:
    """Ticks and labels of both axes."""
    x_span, y_span = x_limits[1] - x_limits[0], y_limits[1] - y_limits[0]
    xs = ticks(*x_limits, max(2, width // 14))
    most = max(2, (height - 2) // 3)
    ys = log_ticks(*y_limits, most) if chart.log else ticks(*y_limits, most)
    if len(ys) < 2:  # a single tick shows no scale
        ys = ticks(*y_limits, 2 * most)
    x_label = hours_label if chart.axis == "time" else label

    def y_label(y: float) -> str:
        if chart.log:
            return label(10**y, 10 ** y_limits[1] if y > 0 else 10**y)
        return label(y, y_span)

    return _Axes(
        tuple((x - x_limits[0]) / x_span for x in xs),
        tuple(x_label(x, x_span) for x in xs),
        tuple((y - y_limits[0]) / y_span for y in ys),
        tuple(map(y_label, ys)),
    )


@functools.lru_cache(maxsize=64)
def _frame(axes: _Axes, width: int, height: int, ascii_only: bool) -> tuple[str, ...]:
    """Axes with their ticks and no curve, drawn by plotext."""
    import plotext

    with _PLOTEXT_LOCK:
        plotext.clear_figure()
        plotext.limit_size(False, False)  # plotext would cut to its guess of the terminal's size
        plotext.plot_size(width, height)
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        plotext.xlim(0.0, 1.0)  # plotext fails on some ranges of real data
        plotext.ylim(0.0, 1.0)
        plotext.xticks(list(axes.x_ticks), list(axes.x_labels))
        plotext.yticks(list(axes.y_ticks), list(axes.y_labels))
        plotext.scatter([0.0], [0.0], marker=" ")
        text: str = plotext.uncolorize(plotext.build())
    text = text.translate(_ASCII_FRAME) if ascii_only else text
    return tuple(text.rstrip("\n").split("\n"))


def _head(chart: Chart, arrays: "list[SeriesArrays]", width: int, options: DisplayOptions) -> Text:
    """The title and the legend, with the newest values where there is room."""
    head = _legend(chart, arrays, options, values=True)
    if head.cell_len > width:
        head = _legend(chart, arrays, options, values=False)
    head.truncate(width, overflow="ellipsis")
    head.no_wrap = True
    return Text(head.plain.replace("…", "~")) if options.ascii else head


def _legend(
    chart: Chart, arrays: "list[SeriesArrays]", options: DisplayOptions, *, values: bool
) -> Text:
    """The title, the count of non-finite values, and symbol and name of each series, the topmost first."""
    style_of = colour_styles(options)
    title = chart.title + (" (log)" if chart.log else "")
    head = Text().append(title, f"bold {style_of('title')}")
    if len(chart.nonfinite):
        head.append(f"  ! {len(chart.nonfinite):,} not finite", f"bold {style_of('red')}")
        if values and chart.axis:
            last = number(float(chart.nonfinite[-1]))
            head.append(f", last at {chart.axis} {last}", style_of("red"))
    solid = [series for series, _, _ in arrays if not series.dotted]
    for series, _, y in reversed(arrays):
        if series.name == chart.title:
            continue
        head.append(f"  {_symbol(series, solid, options)} {series.name}", style_of(series.colour))
        newest = _newest(y, chart.log)
        if values and newest and not series.dotted:
            head.append(f" {newest}", style_of("title"))
    return head


def _symbol(series: Series, solid: list[Series], options: DisplayOptions) -> str:
    """The character that stands for a series in the legend."""
    if series.letter:
        return series.letter
    if not options.ascii:
        solid_line = "░" if series.colour == "gray" else "━"
        return MARKERS["point"] if series.marked else "┅" if series.dotted else solid_line
    if series.dotted:
        return "-"
    return "o" if series.marked else ASCII_DOTS[solid.index(series) % len(ASCII_DOTS)]


def _newest(y: "Floats", log: bool) -> str:
    """The last finite value; empty without any."""
    import numpy as np

    last = y[np.isfinite(y)][-1:]
    return number(float(10 ** last[0] if log else last[0])) if len(last) else ""
