"""A chart on the screen: shows what was drawn, sends only lines that changed, and takes the mouse."""

import bisect

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tmssl.text import number
from tui.charts.axes import hours_label
from tui.charts.chart import Chart
from tui.charts.pictures import Line

_FEW = 3


class ChartView(Widget, can_focus=True):
    """One chart; the screen draws it anew for its size."""

    class Resized(Message):
        """The size has changed."""

    class Zoomed(Message):
        """The wheel was turned over an x."""

        def __init__(self, view: "ChartView", factor: float, at: float) -> None:
            super().__init__()
            self.view = view
            self.factor = factor
            self.at = at

    class Panned(Message):
        """The curves were dragged by a share of what is shown."""

        def __init__(self, view: "ChartView", share: float) -> None:
            super().__init__()
            self.view = view
            self.share = share

    class Pointed(Message):
        """A place was clicked."""

        def __init__(self, view: "ChartView", x: float) -> None:
            super().__init__()
            self.view = view
            self.x = x

    class Enlarged(Message):
        """A chart was clicked twice."""

        def __init__(self, view: "ChartView") -> None:
            super().__init__()
            self.view = view

    def __init__(self, name: str) -> None:
        super().__init__(id=name, classes="chart")
        self.chart: Chart | None = None
        self._lines: list[Text] = []
        self._style: Style | None = None
        self._cursor: float | None = None
        self._grabbed: int | None = None
        self._dragged = False

    def render(self) -> Text:
        """All lines as one text."""
        return Text("\n").join(self._lines)

    def show(self, chart: Chart, cursor: float | None) -> None:
        """Put a drawn chart in place, with the crosshair at an x."""
        self.chart, self._cursor = chart, cursor
        self._style = self.rich_style  # found once for all lines: it takes a millisecond
        self._put(_with_cursor(chart, cursor))

    def point(self, cursor: float | None) -> None:
        """Move the crosshair; the curves stay as they are."""
        if self.chart is not None and cursor != self._cursor:
            self.show(self.chart, cursor)

    def _put(self, lines: list[Text]) -> None:
        """Show lines; those that are as before are not sent again."""
        before, self._lines = self._lines, lines
        regions = [
            Region(0, y, self.size.width, 1)
            for y in range(max(len(before), len(lines)))
            if y >= len(before) or y >= len(lines) or before[y] != lines[y]
        ]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """One line of cells, as Textual asks for it."""
        width = self.size.width
        style = self._style or self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        line = self._lines[y]
        if y == 0 and self.has_focus:
            line = Text.assemble(line)
            line.stylize(
                Style(underline=True), 0, len(self.chart.picture.title) if self.chart else 0
            )
        segments = list(line.render(self.app.console))
        return Strip(Segment.apply_style(segments, style)).adjust_cell_length(width, style)

    def on_resize(self) -> None:
        """Let the screen draw anew."""
        self.post_message(self.Resized())

    def on_focus(self) -> None:
        """Underline the title."""
        self.refresh(Region(0, 0, self.size.width, 1))

    def on_blur(self) -> None:
        """The title as before."""
        self.refresh(Region(0, 0, self.size.width, 1))

    def _x_at(self, column: int) -> float | None:
        plot = self.chart.plot if self.chart else None
        if plot is None or not plot.left <= column < plot.left + plot.columns:
            return None
        return plot.middle_of(column - plot.left)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Closer."""
        self._wheel(event, 1.25)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Farther."""
        self._wheel(event, 0.8)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        at = self._x_at(int(event.x))
        if at is not None:
            event.stop()
            self.post_message(self.Zoomed(self, factor, at))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the curves."""
        if event.button == 1 and self._x_at(int(event.x)) is not None:
            self._grabbed, self._dragged = int(event.x), False
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag them."""
        if self._grabbed is None or self.chart is None or self.chart.plot is None:
            return
        moved = int(event.x) - self._grabbed
        if moved:
            self._grabbed, self._dragged = int(event.x), True
            self.post_message(self.Panned(self, -moved / self.chart.plot.columns))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go; without a move it was a click."""
        if self._grabbed is None:
            return
        self.release_mouse()
        self._grabbed = None
        x = self._x_at(int(event.x))
        if not self._dragged and x is not None:
            self.post_message(self.Pointed(self, x))

    def on_click(self, event: events.Click) -> None:
        """Twice: the whole screen."""
        if event.chain == 2:
            self.post_message(self.Enlarged(self))


def _with_cursor(chart: Chart, cursor: float | None) -> list[Text]:
    """A chart's lines with a crosshair, and what it reads in place of the head."""
    lines, plot = list(chart.lines), chart.plot
    if cursor is None or plot is None or not plot.across[0] <= cursor <= plot.across[1]:
        return lines
    column = plot.left + plot.column_of(cursor)
    for row in range(plot.top, plot.top + plot.rows):
        line = lines[row]
        sign = line.plain[column : column + 1]
        beside = Text("│" if sign == " " else sign, Style(reverse=sign != " "))
        lines[row] = Text.assemble(line[:column], beside, line[column + 1 :])
        lines[row].no_wrap = True
    width = max(len(line.plain) for line in lines)
    lines[0] = _read(chart, cursor, width)
    return lines


def _read(chart: Chart, cursor: float, width: int) -> Text:
    """`loss at 47.73  ━ 2.231  ░ 2.234 (1.99 to 2.41)`: the lines by their signs, the foremost first."""
    picture = chart.picture
    where = hours_label(cursor, 1) if picture.axis == "time" else f"{cursor:.4g}"
    if picture.axis == "step":
        where = f"{cursor:,.0f}"
    head = Text().append(f"{picture.title} at {where}", "bold")
    for line, sign in zip(reversed(picture.lines), reversed(chart.signs), strict=True):
        told = reading(chart, line, cursor)
        if told:
            head.append(f"  {sign} ", chart.tint(line.colour))
            head.append(told)
    head.truncate(width, overflow="ellipsis")
    head.no_wrap = True
    return head


def reading(chart: Chart, line: Line, cursor: float) -> str:
    """What a line says under the crosshair: the nearest point, and the range of all under its column."""
    plot = chart.plot
    if plot is None or not len(line.x):
        return ""
    half = (plot.across[1] - plot.across[0]) / plot.columns / 2
    begin, end = (
        bisect.bisect_left(line.x, cursor - half),
        bisect.bisect_right(line.x, cursor + half),
    )
    after = bisect.bisect_left(line.x, cursor)
    near = [i for i in (after - 1, after) if 0 <= i < len(line.x)]
    place = min(near, key=lambda i: abs(line.x[i] - cursor))
    value = line.y[place]
    if not begin <= place < end and (cursor < line.x[0] or cursor > line.x[-1]):
        return ""
    words = number(float(value)) if value == value else "not finite"
    inside = [float(v) for v in line.y[begin:end] if v == v]
    if len(inside) > _FEW and min(inside) < max(inside):
        words += f" ({number(min(inside))} to {number(max(inside))})"
    return words
