"""The matches: page through queries and see what the encoder thinks is alike."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Input, Static

from tmssl.errors import InputError
from tmssl.retrieval.matches import MatchesHeader, QueryMatches, read_matches
from tmssl.runs.folder import Run
from tmssl.text import safe
from tui.bindings import GALLERY, bindings
from tui.gallery import FILTERS, filtered, footer_words, lay_out, matches_files, page
from tui.messages import Loaded, MatchesLoaded, PageDrawn

if TYPE_CHECKING:
    from tmssl.data.pack import Pack


@lru_cache(maxsize=2)
def _open_pack(folder: str) -> "Pack":
    """A pack stays open while its pages are turned."""
    from tmssl.data.pack import open_pack

    return open_pack(Path(folder))


class RetrievalScreen(Screen[None]):
    """Queries and their matches."""

    TABLE = GALLERY
    BINDINGS = bindings(GALLERY)  # type: ignore[assignment]  # a list of Binding is one of the kinds it takes

    AUTO_FOCUS = ""  # the search field takes keys only when asked for

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._header: MatchesHeader | None = None
        self._queries: tuple[QueryMatches, ...] = ()
        self._shown: tuple[QueryMatches, ...] = ()
        self._names: tuple[str, ...] = ()
        self._index = -1
        self._place = 0
        self._which = 0
        self._wanted = ""

    def compose(self) -> ComposeResult:
        """The page, a search field that comes when asked for, a line of words."""
        yield Static("", id="gallery")
        yield Input(placeholder="name, title or Vienna code; enter", id="search", compact=True)
        yield Static("", id="gallery-words", classes="line")
        yield Static("", id="attribution", classes="line")
        yield Static("", id="status", classes="line")
        yield Footer()

    def on_mount(self) -> None:
        """Hide the search field and read the newest evaluation."""
        self.query_one("#search").display = False
        self.load(-1)

    def say(self, words: str) -> None:
        """A line about an action."""
        self.query_one("#status", Static).update(Text(words, style="italic"))

    @work(thread=True, exclusive=True, group="matches")
    def load(self, index: int) -> None:
        """Read an evaluation's matches; -1 is the newest."""
        files = matches_files(self._run.eval)
        names = tuple(path.name.removesuffix(".matches.jsonl") for path in files)
        if not files:
            loaded = Loaded((), -1, None, (), "no evaluation yet; press e to evaluate now")
        else:
            at = index % len(files) if -len(files) <= index < len(files) else len(files) - 1
            try:
                header, queries = read_matches(files[at])
                loaded = Loaded(names, at, header, tuple(queries))
            except InputError as error:
                loaded = Loaded(names, at, None, (), str(error))
        self.post_message(MatchesLoaded(loaded))

    def on_matches_loaded(self, message: MatchesLoaded) -> None:
        """Show the first query of what was read."""
        loaded = message.loaded
        self._names, self._index = loaded.names, loaded.index
        self._header, self._queries = loaded.header, loaded.queries
        if loaded.problem:
            self.query_one("#gallery", Static).update(Text(safe(loaded.problem)))
        self._select()

    def _select(self) -> None:
        """Apply the filter and show where we are."""
        self._shown = filtered(self._queries, FILTERS[self._which], self._wanted)
        self._place = min(self._place, max(0, len(self._shown) - 1))
        self._draw()

    def on_resize(self) -> None:
        """Another size, another page."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        if self._header is None:
            return
        name = self._names[self._index] if self._names else ""
        words = Text(footer_words(self._header, name, FILTERS[self._which], self._wanted), "dim")
        words.no_wrap, words.overflow = True, "ellipsis"
        self.query_one("#gallery-words", Static).update(words)
        self.query_one("#attribution", Static).update(Text(safe(self._header.attribution), "dim"))
        if not self._shown:
            self.query_one("#gallery", Static).update(
                Text("no query fits this filter; press a or /")
            )
            return
        width, height = self.query_one("#gallery").size
        if width >= 30 and height >= 10:
            self._draw_page(self._shown[self._place], self._header.pack, self._place, width, height)

    @work(thread=True, exclusive=True, group="page")
    def _draw_page(
        self, query: QueryMatches, pack: str, place: int, width: int, height: int
    ) -> None:
        try:
            text = page(
                query, _open_pack(pack), lay_out(width, height - 2), number=place + 1,
                count=len(self._shown), width=width,
            )  # fmt: skip
        except InputError as error:
            text = Text(safe(error))
        text.no_wrap = True
        self.post_message(PageDrawn(place, text))

    def on_page_drawn(self, message: PageDrawn) -> None:
        """Show a page, unless the reader has turned on already."""
        if message.ticket == self._place:
            self.query_one("#gallery", Static).update(message.text)

    def action_move(self, by: int) -> None:
        """The next or previous query, around the end."""
        if self._shown:
            self._place = (self._place + by) % len(self._shown)
            self._draw()

    def action_filter(self) -> None:
        """All, misses only, the best first, the worst first, at random."""
        self._which = (self._which + 1) % len(FILTERS)
        self._place = 0
        self._select()

    def action_evaluation(self, by: int) -> None:
        """The evaluation before or after."""
        if self._names:
            self.load((self._index + by) % len(self._names))

    def action_search(self) -> None:
        """Show the search field."""
        field = self.query_one("#search", Input)
        field.display = True
        field.focus()

    @on(Input.Submitted, "#search")
    def _searched(self, event: Input.Submitted) -> None:
        self._wanted, self._place = event.value.strip(), 0
        event.input.display = False
        self.set_focus(None)
        self._select()

    def action_back(self) -> None:
        """Close the search field, or go back to the curves."""
        field = self.query_one("#search", Input)
        if field.display:
            field.display = False
            self.set_focus(None)
        else:
            self.app.pop_screen()
