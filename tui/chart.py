"""Pictures become characters: the one place that knows plotext, which keeps global state."""

import math
import threading
from collections.abc import Callable

from tui.look import FULL, Look
from tui.series import Line, Picture

_LOCK = threading.Lock()
_ASCII = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
_TINY = 1e-30  # a subnormal span makes plotext divide by next to nothing
_EMPTY = "nothing to draw yet"


def drawable(line: Line, log: bool) -> tuple[list[float], list[float]]:
    """The points plotext survives: finite, and positive on a logarithmic axis."""
    points = [
        (x if abs(x) > _TINY else 0.0, y if abs(y) > _TINY else 0.0)
        for x, y in zip(line.x, line.y, strict=True)
        if math.isfinite(x) and math.isfinite(y) and (y > _TINY or not log)
    ]
    return [x for x, _ in points], [y for _, y in points]


def draw(picture: Picture, width: int, height: int, look: Look = FULL) -> str:
    """A chart of `width` x `height` cells; coloured by ANSI codes, drawn in braille unless told otherwise.

    Raises nothing for any data: what cannot be drawn is left out.
    """
    if width < 16 or height < 4:
        return ""
    lines = [(line, *drawable(line, picture.log)) for line in picture.lines]
    shown = [(line, x, y) for line, x, y in lines if x]
    if not shown:
        return "\n".join([picture.title, "", f"  {_EMPTY}"])
    import plotext

    with _LOCK:
        plotext.clear_figure()
        plotext.limit_size(False, False)  # it would cut to the terminal it thinks it is in
        plotext.plot_size(width, height)
        for part in (plotext.canvas_color, plotext.axes_color):
            part("default")
        plotext.ticks_color("default")
        plotext.title(_title(picture))
        if picture.log:
            plotext.yscale("log")
        for place in picture.boundaries:
            plotext.vertical_line(place, "magenta")
        for line, x, y in shown:
            _plot(plotext, line, x, y, look.ascii)
        low, high = _limits([v for _, _, y in shown for v in y], picture.log)
        plotext.ylim(low, high)
        _ticks(plotext.xticks, [v for _, x, _ in shown for v in x], 5)
        if not picture.log:
            _ticks(plotext.yticks, [low, high], max(2, height // 3))
        text: str = plotext.build()
    text = text if look.colour else plotext.uncolorize(text)
    return text.translate(_ASCII) if look.ascii else text


def _title(picture: Picture) -> str:
    """The title, with a badge for points that were not finite and a mark for a log axis."""
    words = picture.title + (" (log)" if picture.log else "")
    names = [line.name for line in picture.lines if line.name != picture.title]
    if names:
        words += ": " + ", ".join(names)
    return words + (f"  ! {picture.gaps} not finite" if picture.gaps else "")


def _plot(plotext: object, line: Line, x: list[float], y: list[float], plain: bool) -> None:
    """One curve; dotted ones are single points."""
    if line.dotted:
        plotext.scatter(x, y, marker="." if plain else "dot", color=line.colour)  # type: ignore[attr-defined]  # plotext has no types
    else:
        plotext.plot(x, y, marker="*" if plain else "braille", color=line.colour)  # type: ignore[attr-defined]  # plotext has no types


def _ticks(
    place: Callable[[list[float], list[str]], None], values: list[float], count: int
) -> None:
    """Even ticks with short labels."""
    low, high = min(values), max(values)
    if high > low:
        at = [low + (high - low) * i / (count - 1) for i in range(count)]
        whole = high - low >= 4 * count
        place(at, [f"{v:,.0f}" if whole else tick_label(v, high - low) for v in at])


def tick_label(value: float, span: float) -> str:
    """A label with two digits more than the span needs; tiny values in scientific notation."""
    if abs(value) < span * 1e-9:
        return "0"
    if span < 0.01:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(span)))}f}"


def _limits(values: list[float], log: bool) -> tuple[float, float]:
    """A range around the values that is never empty."""
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(high)):
        pad = abs(high) * 0.1 or 1.0
        return (low / 1.1, high * 1.1) if log else (low - pad, high + pad)
    if log:
        return low / 1.05, high * 1.05
    margin = 0.03 * (high - low)
    return max(low - margin, 0.0) if low >= 0 else low - margin, high + margin
