"""Widgets whose content is made for their size."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.text import Text
from textual.message import Message
from textual.strip import Strip
from textual.visual import VisualType
from textual.widgets import Static


class Fitted(Static):
    """Tells its screen of another size, so that the content is made anew."""

    class Resized(Message):
        """The size has changed."""

    def on_resize(self) -> None:
        """Let the screen make the content anew."""
        self.post_message(self.Resized())


class LineStatic(Fitted):
    """A page of pictures.

    Its lines go to the screen as they are: to turn thousands of coloured cells into Textual's own
    content takes longer than to draw them.
    """

    _lines: Sequence[Text] = ()

    def draw(self, lines: Sequence[Text]) -> None:
        """Show the lines of a page."""
        self._lines = lines
        self.refresh()

    def update(self, content: VisualType = "", *, layout: bool = True) -> None:
        """Show words instead, which wrap."""
        self._lines = ()
        super().update(content, layout=layout)

    def render(self) -> VisualType:
        """What it shows as one text."""
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
