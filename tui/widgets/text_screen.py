"""A screen of text that scrolls, can be filtered, and may follow a text that grows."""

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Input, Static

from tui.bindings import TEXT_SCREEN
from tui.widgets.panel import panel
from tui.widgets.searchable_screen import FilteredScreen

_POLL_S = 1.0
_GAP = 4  # cells between columns


def matching_lines(lines: Sequence[str], search: str) -> list[str]:
    """The lines that contain a text, ignoring case."""
    text = search.casefold()
    return [line for line in lines if text in line.casefold()]


def in_columns(lines: Sequence[str], width: int, height: int) -> list[str]:
    """Lines as columns side by side, from the left, where the page is too low for them and wide enough."""
    longest = max(map(cell_len, lines), default=0)
    most = min((width + _GAP) // (longest + _GAP), -(-len(lines) // max(1, height)))
    if most < 2:
        return list(lines)
    rows = -(-len(lines) // most)
    padded = [line + " " * (longest + _GAP - cell_len(line)) for line in lines]
    return ["".join(padded[row::rows]).rstrip() for row in range(rows)]


class TextScreen(FilteredScreen):
    """A title and lines of text, which the caller has made safe."""

    BINDINGS = TEXT_SCREEN

    AUTO_FOCUS = CONTENT = "#page"

    def __init__(
        self,
        title: str,
        lines: list[str],
        *,
        read_again: Callable[[], list[str]] | None = None,
        wrap: bool = False,
    ) -> None:
        """Show a text.

        Args:
            title: its heading.
            lines: its text.
            read_again: reads a text that grows; the screen shows its end and follows it.
            wrap: whether long lines wrap; otherwise the screen scrolls sideways.
        """
        super().__init__()
        self._heading = title
        self._lines = lines
        self._read_again = read_again
        self._wraps = wrap

    def compose(self) -> ComposeResult:
        """The title, the hidden filter, the text, the keys."""
        yield Input(placeholder="only lines that hold this", id="search", compact=True)
        with panel(ScrollableContainer(id="page"), self._heading):
            yield Static("", id="text", classes="" if self._wraps else "unwrapped")
        yield from self.compose_below()
        yield Footer(show_command_palette=False)

    def compose_below(self) -> ComposeResult:
        """What stands below the text: nothing."""
        yield from ()

    def on_mount(self) -> None:
        """Show the text; start to poll one that grows."""
        self.query_one("#search").display = False
        self.show_content()
        if self._read_again is not None:
            self.call_after_refresh(
                self.query_one("#page", ScrollableContainer).scroll_end, animate=False
            )
            self.set_interval(_POLL_S, self._poll)

    def on_resize(self) -> None:
        """Lay the columns out for the size."""
        self.call_after_refresh(self.show_content)

    def _poll(self) -> None:
        """Show what was added; stay at the end if the reader is there."""
        lines = self._read_again() if self._read_again else self._lines
        if lines != self._lines:
            page = self.query_one("#page", ScrollableContainer)
            at_end = page.scroll_offset.y >= page.max_scroll_y
            self._lines = lines
            self.show_content()
            if at_end:
                self.call_after_refresh(page.scroll_end, animate=False)

    @property
    def column_rows(self) -> int:
        """Rows that a column has before there is another one beside it."""
        return self.query_one("#page").size.height

    def show_content(self) -> None:
        """Show the lines that contain the filter's text."""
        lines = matching_lines(self._lines, self.filter_text)
        if not self._wraps:
            page = self.query_one("#page", ScrollableContainer)
            lines = in_columns(lines, page.scrollable_content_region.width, self.column_rows)
        self.query_one("#text", Static).update(
            Text("\n".join(lines) if lines else f"no line holds '{self.filter_text}'; press esc")
        )
