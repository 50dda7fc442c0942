"""The matches: what an evaluation found, its queries as a list, and what the encoder thinks is alike."""

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Horizontal
from textual.events import Click
from textual.widgets import Footer, Input, Static

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.runs.folder import Run
from tmssl.text import safe
from tui.bindings import MATCHES
from tui.matches.evaluations import LoadedEvaluation, head_lines, load_evaluation
from tui.matches.export import ask, pack_of, write_queries
from tui.matches.figures_page import evaluation_page
from tui.matches.match_grid import SIZES, Sheet, page, pair_page, usual_size
from tui.matches.messages import MatchesLoaded, PageDrawn
from tui.matches.query_list import Selection, list_page, page_of
from tui.messages import PreferencesChanged, StatusMessage
from tui.options import FULL, Look, graphics_protocol
from tui.preferences import Preferences
from tui.theme import QUIET
from tui.widgets.fitted import Page
from tui.widgets.search_field import Searching

_WIDE = 110  # cells from which the list stands beside the pictures
_LIST = 38  # cells that it takes there
_WRITTEN = 24  # queries of a page or a sheet
_NONE = LoadedEvaluation((), -1, None, ())


class MatchesScreen(Searching):
    """Queries and their matches."""

    BINDINGS = MATCHES

    AUTO_FOCUS = ""  # the search field takes keys only when asked for

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._loaded = _NONE
        self._beside: LoadedEvaluation | None = None
        self._selection = Selection()
        self._listed: bool | None = None
        self._matches_wanted: int | None = None
        self._ticket = 0

    def compose(self) -> ComposeResult:
        """Figures, the list and the page, a search field that comes when asked for, a line of words."""
        yield Static("", id="figures")
        with Horizontal(id="found"):
            yield Page("", id="queries")
            yield Page("", id="gallery")
        yield Input(placeholder="name, title or Vienna code; enter", id="search", compact=True)
        yield Static("", id="gallery-words", classes="line")
        yield Static("", id="status", classes="line")
        yield Footer()

    def on_mount(self) -> None:
        """Hide the search field and the list, and read the newest evaluation."""
        self.query_one("#search").display = self.query_one("#queries").display = False
        kept = getattr(self.app, "preferences", Preferences())
        self._listed, self._matches_wanted = kept.listed, kept.size
        self.load(-1)

    def show_status(self, text: str) -> None:
        """A line about an action."""
        self.query_one("#status", Static).update(Text(text, style="italic", no_wrap=True))

    @property
    def _look(self) -> Look:
        look: Look = getattr(self.app, "look", FULL)
        return look

    @work(thread=True, exclusive=True, group="matches")
    def load(self, index: int) -> None:
        """Read an evaluation's matches; -1 is the newest."""
        self.post_message(MatchesLoaded(load_evaluation(self._run.eval, index)))

    @work(thread=True, exclusive=True, group="beside")
    def _load_beside(self, index: int) -> None:
        """Read the matches of the evaluation to compare with."""
        self.post_message(MatchesLoaded(load_evaluation(self._run.eval, index), beside=True))

    def on_matches_loaded(self, message: MatchesLoaded) -> None:
        """Show what was read, or put it beside what is shown."""
        loaded = message.loaded
        if message.beside:
            self._beside = loaded if loaded.header is not None else None
            self.show_status(loaded.problem or f"beside {safe(loaded.name)}; , and . for another")
        else:
            self._loaded = loaded
            self._selection = self._selection.of(loaded.queries)
            if loaded.problem:
                self.query_one("#gallery", Static).update(Text(safe(loaded.problem)))
        self._draw()

    def on_resize(self) -> None:
        """Another size, another page."""
        self.call_after_refresh(self._draw)

    def on_fitted_resized(self) -> None:
        """The list or the page has another size."""
        self._draw_found()

    def _draw(self) -> None:
        """Words at once, list and pictures once the sizes are settled."""
        loaded, selection = self._loaded, self._selection
        if loaded.header is None:
            return
        self._arrange()
        width, height = self.size
        head = head_lines(loaded.evaluations, loaded.index, width, height)
        self.query_one("#figures", Static).update(Text("\n").join(head))
        words = (
            f"{loaded.index + 1}/{len(loaded.evaluations)} {safe(loaded.name)}, {loaded.header.gallery:,} "
            f"marks searched, {selection.words}  {safe(loaded.header.attribution)}"
        )
        line = Text(words, QUIET, no_wrap=True, overflow="ellipsis")
        self.query_one("#gallery-words", Static).update(line)
        if not selection.shown:
            told = Text("no query fits this filter; press a or /")
            self.query_one("#gallery", Static).update(told)
        else:
            self.call_after_refresh(self._draw_found)

    def _arrange(self) -> None:
        """Give the list its place: beside the pictures, instead of them on a narrow screen, or none."""
        wide = self.size.width >= _WIDE
        queries = self.query_one("#queries")
        queries.display = self._lists and bool(self._selection.shown)
        queries.styles.width = _LIST if wide else "1fr"
        self.query_one("#gallery").display = wide or not queries.display

    @property
    def _lists(self) -> bool:
        """Whether the list is wanted: on a wide screen unless it was put away."""
        return self.size.width >= _WIDE if self._listed is None else self._listed

    def _draw_found(self) -> None:
        """The list, and the page from a thread."""
        selection, header = self._selection, self._loaded.header
        if selection.query is None or header is None:
            return
        listing, gallery = self.query_one("#queries", Page), self.query_one("#gallery")
        if listing.display and listing.size.height:
            found = list_page(selection.shown, selection.place, *listing.size)
            listing.draw(tuple(found.split("\n", allow_blank=True)))
        if gallery.display and gallery.size.width >= 30 and gallery.size.height >= 10:
            self._ticket += 1
            sheet = Sheet(
                selection.query,
                selection.place + 1,
                len(selection.shown),
                *gallery.size,
                SIZES[self._sized],
                self._look.ascii,
            )
            self._draw_page(self._ticket, sheet, header.pack, self._loaded.name, self._beside)

    @property
    def _sized(self) -> int:
        """Place in SIZES of how many matches are wanted."""
        return (
            usual_size(self.size.height) if self._matches_wanted is None else self._matches_wanted
        )

    @work(thread=True, exclusive=True, group="page")
    def _draw_page(
        self, ticket: int, sheet: Sheet, folder: str, name: str, beside: LoadedEvaluation | None
    ) -> None:
        try:
            pack = pack_of(folder)
            if beside is None:
                text = page(sheet, pack)
            else:
                other = beside.query(sheet.query.row)
                text = pair_page(sheet, other, (name, beside.name), pack)
        except InputError as error:
            text = Text("\n").join(Text(safe(error)).wrap(self.app.console, sheet.width))
        self.post_message(PageDrawn(ticket, tuple(text.split("\n", allow_blank=True))))

    def on_page_drawn(self, message: PageDrawn) -> None:
        """Show a page, unless the reader has turned on already."""
        if message.ticket == self._ticket:
            self.query_one("#gallery", Page).draw(message.lines)

    def _go(self, selection: Selection) -> None:
        """Another query."""
        self._selection = selection
        self._draw_found()

    def action_move(self, by: int) -> None:
        """The next or previous query, around the end."""
        self._go(self._selection.moved(by))

    def action_turn(self, by: int) -> None:
        """A page of the list on or back."""
        self._go(self._selection.at(self._selection.place + by * self._rows))

    def action_ends(self, last: int) -> None:
        """The first or the last query."""
        self._go(self._selection.at(len(self._selection.shown) if last else 0))

    @property
    def _rows(self) -> int:
        """Queries on a page of the list."""
        return max(1, self.query_one("#found").size.height - 1)

    def on_click(self, event: Click) -> None:
        """The query of the list that was clicked."""
        if event.widget is self.query_one("#queries") and event.y >= 1:
            place = page_of(self._selection.place, self._rows) * self._rows + event.y - 1
            if place < len(self._selection.shown):
                self._go(self._selection.at(place))

    def action_filter(self) -> None:
        """All, misses only, the best first, the worst first, at random."""
        self._selection = self._selection.next_filter()
        self._draw()

    def action_list(self) -> None:
        """Show the list of queries, or not."""
        self._listed = not self._lists
        self.post_message(PreferencesChanged(listed=self._listed))
        self._draw()

    def action_size(self, by: int) -> None:
        """Larger or smaller pictures."""
        self._matches_wanted = min(len(SIZES) - 1, max(0, self._sized + by))
        self.post_message(PreferencesChanged(size=self._matches_wanted))
        self.show_status(f"about {SIZES[self._matches_wanted]} matches on a page")
        self._draw()

    def action_evaluation(self, by: int) -> None:
        """The evaluation before or after."""
        if self._loaded.evaluations:
            self.load((self._loaded.index + by) % len(self._loaded.evaluations))

    def action_compare(self) -> None:
        """The same query in the evaluation before, or in this one alone again."""
        if self._beside is not None:
            self._beside = None
            self.show_status("")
            self._draw()
        elif len(self._loaded.evaluations) < 2:
            self.show_status("there is no other evaluation; press e for another checkpoint's")
        else:
            self._load_beside((self._loaded.index - 1) % len(self._loaded.evaluations))

    def action_other(self, by: int) -> None:
        """Compare with another evaluation."""
        if self._beside is None:
            self.action_compare()
            return
        others = [at for at in range(len(self._loaded.evaluations)) if at != self._loaded.index]
        here = self._beside.index
        at = others.index(here) if here in others else 0
        self._load_beside(others[(at + by) % len(others)])

    def action_figures(self) -> None:
        """Every figure of the evaluation, and its history."""
        if self._loaded.evaluations:
            self.app.push_screen(evaluation_page(self._loaded.evaluations, self._loaded.index))

    def action_full(self) -> None:
        """The query and a match at full resolution, outside the monitor."""
        from tui.matches.full_resolution import show_full

        query, header = self._selection.query, self._loaded.header
        if query is None or header is None or not query.matches:
            self.show_status("there is no match to look at")
            return
        try:
            pack, by = pack_of(header.pack), graphics_protocol(self._look.images)
            with self.app.suspend():
                show_full(query, pack, by, print, ask, plain=self._look.ascii)
        except InputError as error:
            self.show_status(str(error))
        except SuspendNotSupported:
            self.show_status("this terminal cannot be lent; press w for a page with the pictures")

    def action_export(self, kind: str) -> None:
        """Write the query and the ones after it to a file of the run."""
        selection = self._selection
        if selection.shown and self._loaded.header is not None:
            self.show_status(f"writing a {'page' if kind == 'html' else 'sheet'}")
            queries = selection.shown[selection.place : selection.place + _WRITTEN]
            self._export(kind, self._loaded, queries, selection.which)

    @work(thread=True, exclusive=True, group="export")
    def _export(
        self, kind: str, loaded: LoadedEvaluation, queries: tuple[QueryMatches, ...], which: str
    ) -> None:
        self.post_message(StatusMessage(write_queries(kind, self._run, loaded, queries, which)))

    @on(Input.Submitted, "#search")
    def _searched(self, event: Input.Submitted) -> None:
        event.input.display = False
        self.set_focus(None)
        self._selection = self._selection.filtered(self._selection.which, event.value.strip())
        self._draw()

    def action_back(self) -> None:
        """Close the search field, or go back to the curves."""
        field = self.query_one("#search", Input)
        if field.display:
            field.display = False
            self.set_focus(None)
        else:
            self.app.pop_screen()
