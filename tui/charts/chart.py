"""Pictures become characters: plotext draws the frame, dots of our own the curves.

The one place that knows plotext, which keeps global state. Its own lines take a third of a second for four curves
of 500 points; cells that are braille already take a thousandth.
"""

import dataclasses
import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from tmssl.text import number
from tui.charts.axes import hours_label, label, log_ticks, round_limits, ticks
from tui.charts.cells import MARKS, PLAIN_DOTS, Cells, Plot
from tui.charts.pictures import Line, Picture
from tui.options import FULL, Look

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Points = tuple[Line, Floats, Floats]

_LOCK = threading.Lock()
_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
COLOURS = {
    "gray": ("#828d99", "#606975"),
    "cyan": ("#4cc9f0", "#006a9c"),
    "red": ("#ff6b6b", "#c1121f"),
    "green": ("#7bd88f", "#22763a"),
    "gold": ("#ffd166", "#7d5500"),
    "yellow": ("#ffd166", "#7d5500"),
    "magenta": ("#c792ea", "#7b2cbf"),
    "orange": ("#ff9f6b", "#a63f06"),
    "blue": ("#82aaff", "#1d4ed8"),
    "axis": ("#8e99a4", "#636c77"),
    "title": ("#e6edf3", "#1b1f24"),
}
"""by name, on a dark and on a light ground"""


@dataclasses.dataclass(frozen=True, eq=False)
class Chart:
    """A drawn chart: its lines from top to bottom, and where the curves are in it."""

    lines: tuple[Text, ...]
    picture: Picture
    plot: Plot | None = None
    signs: tuple[str, ...] = ()
    """how each line of the picture is drawn"""
    tint: Callable[[str], str] = str
    """style of a colour's name"""


def draw(picture: Picture, width: int, height: int, look: Look = FULL) -> str:
    """A chart of `width` x `height` cells as lines of text, coloured by ANSI codes unless told otherwise."""
    import io

    from rich.console import Console

    lines = chart(picture, width, height, look).lines
    if not look.colour:
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


def chart_text(picture: Picture, size: tuple[int, int], look: Look, dark: bool) -> Text:
    """A chart of so many columns and rows as one text."""
    return Text("\n").join(chart(picture, *size, look, dark).lines)


def chart(picture: Picture, width: int, height: int, look: Look = FULL, dark: bool = True) -> Chart:
    """A picture drawn on `width` x `height` cells.

    Raises nothing for any data: what cannot be drawn is a gap.
    """
    if width < 16 or height < 4:
        return Chart((), picture)
    tint = tints(look, dark)
    points = _points(picture)
    head = _head(picture, points, width, tint, look)
    if not any(len(x) for _, x, _ in points):
        return Chart((head, Text(), Text().append(f"  {picture.empty}", tint("axis"))), picture)
    across = _across(picture, points)
    up = _up(picture, points, across)
    rows = _frame(*_labels(picture, across, up, width, height), width, height - 1, look.ascii)
    left = len(rows[-2]) - len(rows[-2].lstrip(" ")) + 1
    plot = Plot(left, 1, width - left, height - 3, across)
    cells = Cells(plot, look.ascii)
    for line, x, y in points:
        cells.lay(line, x, y, up)
    cells.mark(picture)
    lines = [head]
    for place, row in enumerate(rows):
        text = Text().append(row[: plot.left], tint("axis"))
        if place < plot.rows:
            cells.write(place, text, tint)
        else:
            text.append(row[plot.left :], tint("axis"))
        text.no_wrap = True
        lines.append(text)
    solid = [line for line in picture.lines if not line.dotted]
    signs = tuple(_sign(line, solid, look) for line in picture.lines)
    return Chart(tuple(lines), picture, plot, signs, tint)


def tints(look: Look, dark: bool) -> Callable[[str], str]:
    """Style of a colour's name on a dark or a light ground; none without colours."""
    return lambda name: COLOURS[name][0 if dark else 1] if look.colour and name else ""


def _points(picture: Picture) -> "list[Points]":
    """The lines as arrays with gaps; on a logarithmic axis exponents of ten, without what is not positive."""
    import numpy as np

    from tui.charts.raster import ordered

    found = []
    for line in picture.lines:
        x, y = ordered(line.x, line.y)
        if picture.log:
            y = np.log10(y, out=np.full(len(y), np.nan), where=y > 0)
        if np.isfinite(y).any():
            found.append((line, x, y))
    return found


def _across(picture: Picture, points: "list[Points]") -> tuple[float, float]:
    """The x of the borders: what is zoomed to, or all; round, so that they stay while it grows."""
    if picture.window is not None:
        return picture.window
    low = min(float(x[0]) for _, x, _ in points)
    high = max(float(x[-1]) for _, x, _ in points)
    if high - low < 1e-9 * max(1e-9, abs(high)):
        return round_limits(low, high)
    return round_limits(low, high, 40)


def _up(
    picture: Picture, points: "list[Points]", across: tuple[float, float]
) -> tuple[float, float]:
    """The y of the borders, of what is shown between two x."""
    import numpy as np

    ends: list[float] = []
    zoomed = picture.window is not None
    for line, x, y in points:
        if zoomed and line.dotted and np.nanmin(y) == np.nanmax(y) and len(points) > 1:
            continue  # a level far away would hide what was zoomed to
        begin, end = np.searchsorted(x, across[0]), np.searchsorted(x, across[1], "right")
        shown = y[max(0, begin - 1) : end + 1]
        shown = shown[np.isfinite(shown)]
        if len(shown):
            share = (1, 99) if picture.clipped else (0, 100)
            ends += [float(value) for value in np.percentile(shown, share)]
    if not ends:
        return 0.0, 1.0
    return round_limits(min(ends), max(ends), 16)


def _labels(
    picture: Picture, across: tuple[float, float], up: tuple[float, float], width: int, height: int
) -> tuple[Any, ...]:
    """Places and labels of the ticks of both axes, and the limits."""
    span = across[1] - across[0]
    name = hours_label if picture.axis == "time" else label
    xs = ticks(*across, max(2, width // 14))
    tall = max(2, (height - 2) // 3)
    ys = log_ticks(*up, tall) if picture.log else ticks(*up, tall)
    if len(ys) < 2:  # one alone tells no scale
        ys = ticks(*up, 2 * tall)
    told = [
        label(10**y, 10 ** up[1] if y > 0 else 10**y) if picture.log else label(y, up[1] - up[0])
        for y in ys
    ]
    return across, up, tuple(xs), tuple(name(x, span) for x in xs), tuple(ys), tuple(told)


@functools.lru_cache(maxsize=64)
def _frame(
    across: tuple[float, float],
    up: tuple[float, float],
    xs: tuple[float, ...],
    x_labels: tuple[str, ...],
    ys: tuple[float, ...],
    y_labels: tuple[str, ...],
    width: int,
    height: int,
    plain: bool,
) -> tuple[str, ...]:
    """Axes with their ticks and nothing in them, by plotext."""
    import plotext

    with _LOCK:
        plotext.clear_figure()
        plotext.limit_size(False, False)  # it would cut to the terminal it thinks it is in
        plotext.plot_size(width, height)
        plotext.xaxes(True, False)
        plotext.yaxes(True, False)
        plotext.xlim(0.0, 1.0)  # shares of the axes, since it fails on some of the ranges there are
        plotext.ylim(0.0, 1.0)
        plotext.xticks([(x - across[0]) / (across[1] - across[0]) for x in xs], list(x_labels))
        plotext.yticks([(y - up[0]) / (up[1] - up[0]) for y in ys], list(y_labels))
        plotext.scatter([0.0], [0.0], marker=" ")
        text: str = plotext.uncolorize(plotext.build())
    text = text.translate(_ASCII) if plain else text
    return tuple(text.rstrip("\n").split("\n"))


def _head(picture: Picture, points: "list[Points]", width: int, tint: "Any", look: Look) -> Text:
    """The title and what each line is, with its newest value where there is room; a badge for gaps."""
    head = _legend(picture, points, tint, look, values=True)
    if head.cell_len > width:
        head = _legend(picture, points, tint, look, values=False)
    head.truncate(width, overflow="ellipsis")
    head.no_wrap = True
    return Text(head.plain.replace("…", "~")) if look.ascii else head


def _legend(
    picture: Picture, points: "list[Points]", tint: "Any", look: Look, *, values: bool
) -> Text:
    """The title, a badge for gaps, and the sign and name of every line, the foremost first."""
    words = picture.title + (" (log)" if picture.log else "")
    head = Text().append(words, f"bold {tint('title')}")
    if picture.gaps:
        where = number(float(picture.holes[-1])) if values and picture.axis else ""
        head.append(f"  ! {picture.gaps:,} not finite", f"bold {tint('red')}")
        head.append(f", last at {picture.axis} {where}" if where else "", tint("red"))
    solid = [line for line, _, _ in points if not line.dotted]
    for line, _, y in reversed(points):
        if line.name == picture.title:
            continue
        head.append(f"  {_sign(line, solid, look)} {line.name}", tint(line.colour))
        last = _newest(y, picture.log)
        if values and last and not line.dotted:
            head.append(f" {last}", tint("title"))
    return head


def _sign(line: Line, solid: list[Line], look: Look) -> str:
    """How a line is drawn, as one character."""
    if line.letter:
        return line.letter
    if look.ascii:
        return (
            "-"
            if line.dotted
            else "o"
            if line.marked
            else PLAIN_DOTS[solid.index(line) % len(PLAIN_DOTS)]
        )
    if line.marked:
        return MARKS["mark"]
    return "┅" if line.dotted else "░" if line.colour == "gray" else "━"


def _newest(y: "Floats", log: bool) -> str:
    """The last value there is."""
    import numpy as np

    known = y[np.isfinite(y)][-1:]
    return number(float(10 ** known[0] if log else known[0])) if len(known) else ""
