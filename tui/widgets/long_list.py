"""A list of thousands of lines to choose from: a line is made when it is seen."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

_CURSOR = "long-list--cursor"


class LongList(ScrollView, can_focus=True):
    """Named lines; the cursor stays on its line when other lines come and go.

    `Choices`, for the short lists of dialogs, measures and keeps every line; this one keeps their names.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
        Binding("enter", "select", "Choose", show=False),
    ]

    COMPONENT_CLASSES: ClassVar[set[str]] = {_CURSOR}

    DEFAULT_CSS = """
    LongList { overflow-x: hidden; background: $background; }
    LongList > .long-list--cursor {
        background: $block-cursor-blurred-background;
        color: $block-cursor-blurred-foreground;
        text-style: $block-cursor-blurred-text-style;
    }
    LongList:focus > .long-list--cursor {
        background: $block-cursor-background;
        color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    """

    class Highlighted(Message):
        """The cursor is on another line."""

        def __init__(self, widget: "LongList", name: str) -> None:
            super().__init__()
            self.widget = widget
            self.name = name

        @property
        def control(self) -> "LongList":
            """The list, for selectors."""
            return self.widget

    class Selected(Highlighted):
        """A line was chosen by enter or a click."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.names: tuple[str, ...] = ()
        """the lines, from the first"""
        self.cursor = 0
        """place of the chosen line"""
        self._line_of: Callable[[str], Text] = Text

    def show(self, names: Sequence[str], line_of: Callable[[str], Text]) -> None:
        """Show lines.

        Args:
            names: one for each line, all different.
            line_of: makes the line of a name, when it is seen.
        """
        before, self._line_of = self.chosen, line_of
        if tuple(names) != self.names:
            self.names = tuple(names)
            self.virtual_size = Size(0, len(names))
            self.cursor = self.names.index(before) if before in self.names else 0
            self.call_after_refresh(self._scroll_to_cursor)
        if self.chosen != before:
            self.post_message(self.Highlighted(self, self.chosen))
        self.refresh()

    @property
    def chosen(self) -> str:
        """The name of the line under the cursor; empty without lines."""
        return self.names[self.cursor] if self.names else ""

    def choose(self, name: str) -> None:
        """Put the cursor on the line of a name, if there is one."""
        if name in self.names:
            self._go_to(self.names.index(name))

    def action_move(self, lines: int) -> None:
        """Move the cursor by some lines; it goes from the last to the first and back."""
        if self.names:
            self._go_to((self.cursor + lines) % len(self.names))

    def action_page(self, pages: int) -> None:
        """Move the cursor by as many lines as are seen."""
        if self.names:
            place = self.cursor + pages * max(1, self.size.height)
            self._go_to(min(max(0, place), len(self.names) - 1))

    def action_first(self) -> None:
        """Move the cursor to the first line."""
        self.action_page(-len(self.names))

    def action_last(self) -> None:
        """Move the cursor to the last line."""
        self.action_page(len(self.names))

    def action_select(self) -> None:
        """Choose the line under the cursor."""
        if self.names:
            self.post_message(self.Selected(self, self.chosen))

    def on_click(self, event: events.Click) -> None:
        """Choose a line by a click."""
        place = event.get_content_offset_capture(self).y + self.scroll_offset.y
        if 0 <= place < len(self.names):
            self._go_to(place)
            self.action_select()

    def _go_to(self, place: int) -> None:
        """Put the cursor on a line, and scroll until it is seen."""
        if place != self.cursor:
            for changed in (self.cursor, place):
                self.refresh_line(changed)
            self.cursor = place
            self.post_message(self.Highlighted(self, self.chosen))
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        line = Region(0, self.cursor, self.size.width, 1)
        self.scroll_to_region(line, animate=False, force=True, immediate=True)

    def render_line(self, y: int) -> Strip:
        """A line as it is seen."""
        place, width = y + self.scroll_offset.y, self.scrollable_content_region.width
        style = self.get_visual_style(*([_CURSOR] if place == self.cursor else []))
        if place >= len(self.names):
            return Strip.blank(width, self.visual_style.rich_style)
        text = self._line_of(self.names[place])
        text.no_wrap, text.overflow = True, "ellipsis"
        text.pad_right(max(0, width - text.cell_len))
        line = Content.from_rich_text(text, self.app.console)
        return Visual.to_strips(self, line, width, 1, style)[0]
