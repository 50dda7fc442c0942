"""The screen of matches: an evaluation's figures, its queries as a list, and a query with its matches."""

import threading
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Horizontal, Vertical
from textual.events import Click
from textual.widgets import Footer, Input, Static

from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import QueryMatches
from tmssl.runs.folder import Run
from tmssl.text import safe
from tui.bindings import MATCHES, PICTURE_KEY, key_names
from tui.matches.evaluations import (
    LoadedEvaluation,
    head_lines,
    history_lines,
    load_evaluation,
)
from tui.matches.export import open_cached_pack, write_queries
from tui.matches.figures_page import FiguresScreen
from tui.matches.match_grid import (
    PAGE_SIZES,
    PageSpec,
    compared_page,
    default_page_size,
    match_page,
)
from tui.matches.messages import MatchesLoaded, PageDrawn
from tui.matches.query_list import Selection, list_page, page_number
from tui.messages import PreferencesChanged, StatusMessage
from tui.options import (
    display_options,
    graphics_protocol,
    needs_picture_hint,
    picture_way,
    pixel_pictures,
)
from tui.preferences import Preferences
from tui.theme import QUIET, colour_styles
from tui.widgets.line_static import LineStatic
from tui.widgets.panel import panel
from tui.widgets.searchable_screen import SearchableScreen

if TYPE_CHECKING:
    from tmssl.types import Pixels

_WIDE = 110  # cells from which the list stands beside the pictures
_LIST_WIDTH = 40  # cells of the list beside the pictures
_FRAME = 4  # cells of a frame and its spacing, on both sides
_HISTORY_ROWS = 14  # of the evaluations before and after, where they stand beside the matches
_MIN_GRID = (30, 10)  # cells and rows below which no picture is drawn
_EXPORTED = 24  # most queries of an exported page or sheet
_NONE = LoadedEvaluation((), -1, None, ())


class MatchesScreen(SearchableScreen):
    """Queries and their matches."""

    BINDINGS = MATCHES

    AUTO_FOCUS = ""  # the search field takes keys only after the search key

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._shown = _NONE
        self._compared: LoadedEvaluation | None = None
        self._selection = Selection()
        self._list_wanted: bool | None = None  # None: if the screen is wide
        self._page_size: int | None = None  # index into PAGE_SIZES; None: by the height
        self._request = 0
        self._drawing = threading.Lock()

    def compose(self) -> ComposeResult:
        """Figures, list and grid, a search field that is hidden at first, and two lines of text."""
        yield panel(Static("", id="figures"), "evaluation")
        with Horizontal(id="found"):
            with Vertical(id="beside"):
                yield panel(LineStatic("", id="queries"), "queries")
                yield panel(Static("", id="history"), "history")
            yield panel(LineStatic("", id="gallery"), "matches")
        yield Input(placeholder="name, title or Vienna code; enter", id="search", compact=True)
        yield Static("", id="gallery-words", classes="line")
        yield Static("", id="status", classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Hide the search field and the list, and load the newest evaluation."""
        self.query_one("#search").display = self.query_one("#beside").display = False
        preferences = getattr(self.app, "preferences", Preferences())
        self._list_wanted, self._page_size = preferences.listed, preferences.size
        self.load(-1)
        if needs_picture_hint(self.app):
            self.show_status(
                f"{key_names(PICTURE_KEY)[0]} chooses how this terminal draws pictures"
            )
            self.post_message(PreferencesChanged(hinted=True))

    def show_status(self, text: str) -> None:
        """Show the progress or the outcome of an action."""
        self.query_one("#status", Static).update(Text(text, style="italic", no_wrap=True))

    @work(thread=True, exclusive=True, group="matches")
    def load(self, index: int) -> None:
        """Load the evaluation to show; -1 is the newest."""
        self.post_message(MatchesLoaded(load_evaluation(self._run.eval, index)))

    @work(thread=True, exclusive=True, group="compared")
    def _load_compared(self, index: int) -> None:
        """Load the evaluation to compare with."""
        self.post_message(MatchesLoaded(load_evaluation(self._run.eval, index), to_compare=True))

    def on_matches_loaded(self, message: MatchesLoaded) -> None:
        """Show the evaluation, or compare the shown one with it."""
        loaded = message.loaded
        if message.to_compare:
            self._compared = loaded if loaded.header is not None else None
            name = safe(loaded.name)
            self.show_status(loaded.problem or f"compared with {name}; , and . for another")
        else:
            self._shown = loaded
            self._selection = self._selection.with_queries(loaded.queries)
            if loaded.problem:
                self.query_one("#gallery", Static).update(Text(safe(loaded.problem)))
        self._draw()

    def on_resize(self) -> None:
        """Draw everything for the new size."""
        self.call_after_refresh(self._draw)

    def on_line_static_resized(self) -> None:
        """Draw the list and the grid for their new sizes."""
        self._draw_list_and_grid()

    def _draw(self) -> None:
        """Draw the text at once, and the list and the grid once their sizes are settled."""
        shown, selection = self._shown, self._selection
        if shown.header is None:
            return
        self._arrange()
        width, height = self.size
        wide, style_of = self.has_class("-wide"), colour_styles(display_options(self.app))
        # A wide screen has the history beside the matches, and bars in its place.
        head = head_lines(
            shown.evaluations, shown.index, width - 4 * wide, height, style_of, bars=wide
        )
        self.query_one("#figures", Static).update(Text("\n").join(head))
        past = history_lines(shown.evaluations, shown.index, _HISTORY_ROWS, style_of)
        self.query_one("#history", Static).update(Text("\n").join(past))
        text = (
            f"{shown.index + 1}/{len(shown.evaluations)} {safe(shown.name)}, {shown.header.gallery:,} "
            f"marks searched, {selection.description}  {safe(shown.header.attribution)}"
        )
        line = Text(text, QUIET, no_wrap=True, overflow="ellipsis")
        self.query_one("#gallery-words", Static).update(line)
        if selection.fitting:
            self.call_after_refresh(self._draw_list_and_grid)
        else:
            text = "no query fits this filter; press a or /"
            self.query_one("#gallery", Static).update(Text(text))

    def _arrange(self) -> None:
        """Show the list beside the grid, or instead of it on a narrow screen, or not at all."""
        wide = self.size.width >= _WIDE
        beside = self.query_one("#beside")
        beside.display = self._is_list_shown and bool(self._selection.fitting)
        framed = _FRAME if self.has_class("-wide") else 0
        beside.styles.width = _LIST_WIDTH + framed if wide else "1fr"
        self.query_one("#gallery").display = wide or not beside.display

    @property
    def _is_list_shown(self) -> bool:
        return self.size.width >= _WIDE if self._list_wanted is None else self._list_wanted

    def _draw_list_and_grid(self) -> None:
        """Draw the list, and the grid in a thread."""
        selection, header = self._selection, self._shown.header
        if selection.query is None or header is None:
            return
        queries, gallery = self.query_one("#queries", LineStatic), self.query_one("#gallery")
        if self.query_one("#beside").display and queries.size.height:
            text = list_page(selection.fitting, selection.index, *queries.size)
            queries.draw(tuple(text.split("\n", allow_blank=True)))
        width, height = gallery.size
        if gallery.display and width >= _MIN_GRID[0] and height >= _MIN_GRID[1]:
            self._request += 1
            spec = PageSpec(
                selection.query,
                selection.index + 1,
                len(selection.fitting),
                width,
                height,
                PAGE_SIZES[self._page_size_index],
                picture_way(self.app),
                pixel_pictures(self.app),
            )
            self._draw_page(self._request, spec, header.pack, self._shown.name, self._compared)

    @property
    def _page_size_index(self) -> int:
        size = self._page_size
        return default_page_size(self.size.height) if size is None else size

    @work(thread=True, exclusive=True, group="page")
    def _draw_page(
        self,
        request: int,
        spec: PageSpec,
        folder: str,
        name: str,
        compared: LoadedEvaluation | None,
    ) -> None:
        with self._drawing:  # an older page, drawn later, would take the pictures of this one
            if request != self._request:
                return
            try:
                pack = open_cached_pack(folder)
                if compared is None:
                    text = match_page(spec, pack)
                else:
                    other = compared.query(spec.query.row)
                    text = compared_page(spec, other, (name, compared.name), pack)
            except InputError as error:
                text = Text("\n").join(Text(safe(error)).wrap(self.app.console, spec.width))
        self.post_message(PageDrawn(request, tuple(text.split("\n", allow_blank=True))))

    def on_page_drawn(self, message: PageDrawn) -> None:
        """Show a page unless another one has been requested since."""
        if message.request == self._request:
            self.query_one("#gallery", LineStatic).draw(message.lines)

    def draw_pictures(self) -> None:
        """Draw the pictures anew, in the way that was chosen."""
        self._draw_list_and_grid()

    def sample_mark(self) -> "Pixels | None":
        """The mark of the selected query."""
        query, header = self._selection.query, self._shown.header
        if query is None or header is None:
            return None
        try:
            pack = open_cached_pack(header.pack)
        except InputError:  # the page says it
            return None
        return pack.read([query.row])[0] if query.row < pack.count else None

    def _select(self, selection: Selection) -> None:
        self._selection = selection
        self._draw_list_and_grid()

    def action_move(self, by: int) -> None:
        """Select the next or previous query; after the last comes the first."""
        self._select(self._selection.moved(by))

    def action_turn(self, by: int) -> None:
        """Turn the pages of the list."""
        self._select(self._selection.at(self._selection.index + by * self._list_rows))

    def action_ends(self, last: int) -> None:
        """Select the first or the last query."""
        self._select(self._selection.at(len(self._selection.fitting) if last else 0))

    @property
    def _list_rows(self) -> int:
        """Queries on a page of the list."""
        return max(1, self.query_one("#queries").size.height - 1)

    def on_click(self, event: Click) -> None:
        """Select the clicked query of the list."""
        queries = self.query_one("#queries")
        row = event.y - queries.content_offset.y - 1
        if event.widget is queries and row >= 0:
            rows = self._list_rows
            index = page_number(self._selection.index, rows) * rows + row
            if index < len(self._selection.fitting):
                self._select(self._selection.at(index))

    def action_filter(self) -> None:
        """Go to the next filter: all, misses, best first, worst first, shuffled."""
        self._selection = self._selection.with_next_filter()
        self._draw()

    def action_list(self) -> None:
        """Show or hide the list of queries."""
        self._list_wanted = not self._is_list_shown
        self.post_message(PreferencesChanged(listed=self._list_wanted))
        self._draw()

    def action_size(self, by: int) -> None:
        """Make the pictures larger or smaller."""
        self._page_size = min(len(PAGE_SIZES) - 1, max(0, self._page_size_index + by))
        self.post_message(PreferencesChanged(size=self._page_size))
        self.show_status(f"about {PAGE_SIZES[self._page_size]} matches on a page")
        self._draw()

    def action_evaluation(self, by: int) -> None:
        """Show the previous or the next evaluation."""
        if self._shown.evaluations:
            self.load((self._shown.index + by) % len(self._shown.evaluations))

    def action_compare(self) -> None:
        """Compare with the previous evaluation, or stop comparing."""
        if self._compared is not None:
            self._compared = None
            self.show_status("")
            self._draw()
        elif len(self._shown.evaluations) < 2:
            self.show_status("there is no other evaluation; press e to evaluate another checkpoint")
        else:
            self._load_compared((self._shown.index - 1) % len(self._shown.evaluations))

    def action_other(self, by: int) -> None:
        """Compare with another evaluation."""
        if self._compared is None:
            self.action_compare()
            return
        others = [i for i in range(len(self._shown.evaluations)) if i != self._shown.index]
        index = self._compared.index
        position = others.index(index) if index in others else 0
        self._load_compared(others[(position + by) % len(others)])

    def action_figures(self) -> None:
        """Show every figure of the evaluation, and its history."""
        if self._shown.evaluations:
            self.app.push_screen(FiguresScreen(self._shown.evaluations, self._shown.index))

    def action_full(self) -> None:
        """Show the query and a match at full resolution, outside the app."""
        from tui.matches.full_resolution import ask_user, show_full_resolution

        query, header = self._selection.query, self._shown.header
        if query is None or header is None or not query.matches:
            self.show_status("there is no match to show")
            return
        try:
            pack = open_cached_pack(header.pack)
            protocol = graphics_protocol(display_options(self.app).images)
            with self.app.suspend():
                show_full_resolution(
                    query, pack, protocol, print, ask_user, way=picture_way(self.app)
                )
        except InputError as error:
            self.show_status(str(error))
        except SuspendNotSupported:
            self.show_status("not possible in this terminal; press w for a page with the pictures")

    def action_export(self, kind: str) -> None:
        """Write the selected query and those after it to a file of the run."""
        selection = self._selection
        if selection.fitting and self._shown.header is not None:
            self.show_status(f"writing a {'page' if kind == 'html' else 'sheet'}")
            queries = selection.fitting[selection.index : selection.index + _EXPORTED]
            self._export(kind, self._shown, queries, selection.which)

    @work(thread=True, exclusive=True, group="export")
    def _export(
        self, kind: str, shown: LoadedEvaluation, queries: tuple[QueryMatches, ...], which: str
    ) -> None:
        self.post_message(StatusMessage(write_queries(kind, self._run, shown, queries, which)))

    @on(Input.Submitted, "#search")
    def _search(self, event: Input.Submitted) -> None:
        self._hide_search()
        self._selection = self._selection.with_filter(self._selection.which, event.value.strip())
        self._draw()

    def _hide_search(self) -> None:
        self.query_one("#search").display = False
        self.set_focus(None)

    def action_back(self) -> None:
        """Hide the search field, or go back to the curves."""
        if self.query_one("#search").display:
            self._hide_search()
        else:
            self.app.pop_screen()
