"""The widget of one chart: shows a rendered chart, refreshes only changed lines, and handles the mouse."""

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
from tui.charts.chart import Series
from tui.charts.render import RenderedChart
from tui.widgets.panel import set_title

_FEW = 3  # points under the crosshair, for which a range says no more than the value


class ChartWidget(Widget, can_focus=True):
    """One chart; its panel renders it for the size of the widget."""

    class Resized(Message):
        """The size has changed."""

    class Zoomed(Message):
        """The mouse wheel was turned over an x."""

        def __init__(self, widget: "ChartWidget", factor: float, center: float) -> None:
            super().__init__()
            self.widget = widget
            self.factor = factor
            self.center = center

    class Panned(Message):
        """The curves were dragged by a share of the visible range."""

        def __init__(self, widget: "ChartWidget", share: float) -> None:
            super().__init__()
            self.widget = widget
            self.share = share

    class Pointed(Message):
        """The chart was clicked at an x."""

        def __init__(self, widget: "ChartWidget", x: float) -> None:
            super().__init__()
            self.widget = widget
            self.x = x

    class Enlarged(Message):
        """The chart was double-clicked."""

        def __init__(self, widget: "ChartWidget") -> None:
            super().__init__()
            self.widget = widget

    def __init__(self, name: str) -> None:
        super().__init__(id=name, classes="chart panel")
        self.rendered: RenderedChart | None = None
        self._head = Text()
        self._lines: list[Text] = []
        self._style: Style | None = None
        self._cursor: float | None = None
        self._dragged_from: int | None = None
        self._was_dragged = False

    def render(self) -> Text:
        """The head, which stands in the frame, and all lines as one text."""
        return Text("\n").join([self._head, *self._lines])

    def show(self, rendered: RenderedChart, cursor: float | None) -> None:
        """Show a rendered chart, with the crosshair at an x."""
        self.rendered, self._cursor = rendered, cursor
        self._style = self.rich_style  # once for all lines: it takes a millisecond
        self._update_lines(_with_cursor(rendered, cursor))

    def move_cursor(self, cursor: float | None) -> None:
        """Move the crosshair without rendering the curves again."""
        if self.rendered is not None and cursor != self._cursor:
            self.show(self.rendered, cursor)

    def _update_lines(self, lines: list[Text]) -> None:
        """Show lines; only changed ones are refreshed."""
        self._head, lines = (lines[0], lines[1:]) if lines else (Text(), [])
        set_title(self, self._head)
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
        segments = list(self._lines[y].render(self.app.console))
        return Strip(Segment.apply_style(segments, style)).adjust_cell_length(width, style)

    def on_resize(self) -> None:
        """Ask for a rendering of the new size."""
        self.post_message(self.Resized())

    def _x_at(self, column: int) -> float | None:
        """The x under a column of the widget; None beside the curves."""
        plot = self.rendered.plot if self.rendered else None
        column -= self.content_offset.x
        if plot is None or not plot.left <= column < plot.left + plot.columns:
            return None
        return plot.x_of(column - plot.left)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in."""
        self._wheel(event, 1.25)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._wheel(event, 0.8)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        x = self._x_at(int(event.x))
        if x is not None:
            event.stop()
            self.post_message(self.Zoomed(self, factor, x))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Start a drag."""
        if event.button == 1 and self._x_at(int(event.x)) is not None:
            self._dragged_from, self._was_dragged = int(event.x), False
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Pan by the cells that the mouse moved."""
        plot = self.rendered.plot if self.rendered else None
        if self._dragged_from is None or plot is None:
            return
        moved = int(event.x) - self._dragged_from
        if moved:
            self._dragged_from, self._was_dragged = int(event.x), True
            self.post_message(self.Panned(self, -moved / plot.columns))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """End a drag; without a move it was a click."""
        if self._dragged_from is None:
            return
        self.release_mouse()
        self._dragged_from = None
        x = self._x_at(int(event.x))
        if not self._was_dragged and x is not None:
            self.post_message(self.Pointed(self, x))

    def on_click(self, event: events.Click) -> None:
        """Ask for the whole screen on a double click."""
        if event.chain == 2:
            self.post_message(self.Enlarged(self))


def _with_cursor(rendered: RenderedChart, cursor: float | None) -> list[Text]:
    """The lines of a chart with a crosshair, and the values under it in place of the legend."""
    lines, plot = list(rendered.lines), rendered.plot
    if cursor is None or plot is None or not plot.x_limits[0] <= cursor <= plot.x_limits[1]:
        return lines
    column = plot.left + plot.column_of(cursor)
    for row in range(plot.top, plot.top + plot.rows):
        line = lines[row]
        character = line.plain[column : column + 1]
        empty = character == " "
        crossed = Text("│" if empty else character, Style(reverse=not empty))
        lines[row] = Text.assemble(line[:column], crossed, line[column + 1 :])
        lines[row].no_wrap = True
    lines[0] = _cursor_head(rendered, cursor, width=max(len(line.plain) for line in lines))
    return lines


def _cursor_head(rendered: RenderedChart, cursor: float, width: int) -> Text:
    """`loss at 47.73  ━ 2.231  ░ 2.234 (1.99 to 2.41)`: the value of each series, the topmost first."""
    chart = rendered.chart
    x = hours_label(cursor, 1) if chart.axis == "time" else f"{cursor:.4g}"
    if chart.axis == "step":
        x = f"{cursor:,.0f}"
    head = Text(no_wrap=True).append(f"{chart.title} at {x}", "bold")
    for series, symbol in zip(reversed(chart.series), reversed(rendered.symbols), strict=True):
        value = value_at(rendered, series, cursor)
        if value:
            head.append(f"  {symbol} ", rendered.style_of(series.colour))
            head.append(value)
    head.truncate(width, overflow="ellipsis")
    return head


def value_at(rendered: RenderedChart, series: Series, cursor: float) -> str:
    """The value nearest to the crosshair, and the range of the values in its column."""
    plot, x = rendered.plot, series.x
    if plot is None or not len(x):
        return ""
    half = plot.column_width / 2
    begin, end = bisect.bisect_left(x, cursor - half), bisect.bisect_right(x, cursor + half)
    after = bisect.bisect_left(x, cursor)
    near = [i for i in (after - 1, after) if 0 <= i < len(x)]
    nearest = min(near, key=lambda i: abs(x[i] - cursor))
    if not begin <= nearest < end and (cursor < x[0] or cursor > x[-1]):
        return ""
    value = float(series.y[nearest])
    text = number(value) if value == value else "not finite"
    in_column = [float(y) for y in series.y[begin:end] if y == y]
    if len(in_column) > _FEW and min(in_column) < max(in_column):
        text += f" ({number(min(in_column))} to {number(max(in_column))})"
    return text
