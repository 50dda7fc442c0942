"""A screen of text that scrolls, can be filtered, and may grow while it is read."""

from collections.abc import Callable, Sequence

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import ScrollableContainer
from textual.widgets import Footer, Input, Static

from tui.bindings import TEXT_SCREEN
from tui.widgets.searchable_screen import SearchableScreen

_LOOK_S = 1.0  # between looks at a text that grows


def holding(lines: Sequence[str], wanted: str) -> list[str]:
    """The lines that hold a text, in any case; all of them when there is none."""
    text = wanted.casefold()
    return [line for line in lines if text in line.casefold()]


class TextScreen(SearchableScreen):
    """A title and lines that scroll; every line is safe by the time it comes here."""

    BINDINGS = TEXT_SCREEN

    AUTO_FOCUS = "#page"

    def __init__(
        self,
        title: str,
        lines: list[str],
        *,
        again: Callable[[], list[str]] | None = None,
        wrap: bool = False,
    ) -> None:
        """A page.

        Args:
            title: its heading.
            lines: its text.
            again: reads the text anew, for one that grows; it is shown from its end, and follows it.
            wrap: whether a long line goes on in the next; else one scrolls to the right for it.
        """
        super().__init__()
        self._heading = title
        self._lines = lines
        self._again = again
        self._wanted = ""
        self._wraps = wrap

    def compose(self) -> ComposeResult:
        """The title, a filter that comes when asked for, the text, the keys."""
        yield Static(Text(self._heading, style="bold"), classes="heading")
        yield Input(placeholder="only lines that hold this", id="search", compact=True)
        with ScrollableContainer(id="page"):
            yield Static("", id="text", classes="" if self._wraps else "unwrapped")
        yield Footer()

    def on_mount(self) -> None:
        """Show the text; one that grows is looked at again and again."""
        self.query_one("#search").display = False
        self._show()
        if self._again is not None:
            self.call_after_refresh(
                self.query_one("#page", ScrollableContainer).scroll_end, animate=False
            )
            self.set_interval(_LOOK_S, self._look)

    def _look(self) -> None:
        """Take in what has been added; stay at the end if that is where the reader is."""
        lines = self._again() if self._again is not None else self._lines
        if lines != self._lines:
            page = self.query_one("#page", ScrollableContainer)
            at_end = page.scroll_offset.y >= page.max_scroll_y
            self._lines = lines
            self._show()
            if at_end:
                self.call_after_refresh(page.scroll_end, animate=False)

    def _show(self) -> None:
        lines = holding(self._lines, self._wanted)
        self.query_one("#text", Static).update(
            Text("\n".join(lines) if lines else f"no line holds '{self._wanted}'; press esc")
        )

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        self._show()

    @on(Input.Submitted, "#search")
    def _searched(self) -> None:
        self.query_one("#search").display = bool(self._wanted)
        self.query_one("#page").focus()

    def action_back(self) -> None:
        """Clear the filter, or go back."""
        field = self.query_one("#search", Input)
        if field.display:
            field.value = self._wanted = ""
            field.display = False
            self.query_one("#page").focus()
            self._show()
        else:
            self.app.pop_screen()
