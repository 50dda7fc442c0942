"""A Static that shows many coloured lines fast."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.text import Text
from textual.message import Message
from textual.strip import Strip
from textual.visual import VisualType
from textual.widgets import Static


class LineStatic(Static):
    """Lines of Rich text, rendered without Textual's content, which takes longer than drawing a page of pictures."""

    class Resized(Message):
        """The size has changed; the content must be made for the new one."""

    _lines: Sequence[Text] = ()

    def on_resize(self) -> None:
        """Report the new size."""
        self.post_message(self.Resized())

    def draw(self, lines: Sequence[Text]) -> None:
        """Show lines."""
        self._lines = lines
        self.refresh()

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show wrapped text in place of the lines."""
        self._lines = ()
        super().update(content, layout=layout)

    def render(self) -> VisualType:
        """The content as one text."""
        return Text("\n").join(self._lines) if self._lines else super().render()

    def render_line(self, y: int) -> Strip:
        """One line of cells, as Textual asks for it."""
        if not self._lines:
            return super().render_line(y)
        width, style = self.size.width, self.rich_style
        if y >= len(self._lines):
            return Strip.blank(width, style)
        segments = self._lines[y].render(self.app.console)
        return Strip(Segment.apply_style(segments, style)).adjust_cell_length(width, style)
