"""The screen of a search: a logo of the disk, filters, and pages of the marks that it resembles."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, Label, Static

from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.text import count, safe
from tui import subprocesses
from tui.bindings import SEARCH
from tui.matches.export import open_cached_pack
from tui.matches.match_grid import PAGE_SIZES, default_page_size
from tui.messages import PreferencesChanged, StatusMessage
from tui.options import picture_way, pixel_pictures
from tui.preferences import Preferences
from tui.runs.completion import PathSuggester
from tui.search.answer_page import AnswerSpec, answer_page, nothing_found
from tui.search.crop_screen import CropScreen
from tui.search.logo import compared_logo, filed_logo
from tui.search.messages import AnswerDrawn, LogoRead, Searched, SearchOpened
from tui.search.records import (
    Search,
    open_search,
    read_search,
    save_search,
    saved_searches,
)
from tui.search.rectangle import Rectangle
from tui.search.request import FIELDS, SearchRequest, field_values, list_length, parse_request
from tui.theme import QUIET
from tui.widgets.line_static import LineStatic
from tui.widgets.panel import panel, set_title
from tui.widgets.searchable_screen import SearchableScreen

if TYPE_CHECKING:
    from tmssl.types import Pixels

_MIN_GRID = (30, 8)  # cells and rows below which no picture is drawn
_PROGRESS = ", ETA "  # in a line of progress, which tells nothing once all is done
_LONG_STATUS_S = 20.0  # how long a text stays that is too long for the status line
_HINT = """Type the path of a logo and press enter: the marks of this run that it
resembles are listed here.

  right   takes the path that is suggested
  tab     goes to the text and the filters; where takes any column of the marks
  f2      lays rectangles on the logo, to search for these parts of it alone
  w       saves what was found in the run: a record (JSON) and a page (HTML)
  [ ]     show saved searches

The first search of a checkpoint embeds the marks, unless an evaluation did.
Nothing leaves the machine."""


class SearchScreen(SearchableScreen):
    """Fields, and the marks that were found."""

    BINDINGS = SEARCH

    AUTO_FOCUS = "#logo"

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._search: Search | None = None
        self._answer = self._page = 0
        self._rectangles: tuple[Rectangle, ...] = ()
        self._parts_of = ""  # the logo field when they were laid
        self._is_searching = False
        self._quitting = threading.Event()
        self._page_size: int | None = None  # index into PAGE_SIZES; None: by the height
        self._request = 0
        self._drawing = threading.Lock()

    def compose(self) -> ComposeResult:
        """The fields, the matches, and two lines of text."""
        with panel(Vertical(id="fields"), "search"):
            for line in (FIELDS[:3], FIELDS[3:]):
                with Horizontal(classes="field"):
                    for name, label, example in line:
                        suggester = PathSuggester() if name == "logo" else None
                        yield Label(label, classes="label")
                        yield Input(placeholder=example, id=name, compact=True, suggester=suggester)
        yield panel(LineStatic("", id="found-marks"), "matches")
        yield Static("", id="searched", classes="line")
        yield Static("", id="status", classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Show the newest saved search, or what can be done."""
        self._page_size = getattr(self.app, "preferences", Preferences()).size
        self._draw()
        self._open_saved("", 0)

    def on_unmount(self) -> None:
        """Wait no longer for a search, which ends by itself."""
        self._quitting.set()

    def show_status(self, text: str) -> None:
        """Show the progress or the outcome of an action; a long text for a while in full, too."""
        self.query_one("#status", Static).update(Text(text, style="italic", no_wrap=True))

    def _tell(self, text: str) -> None:
        self.show_status(text)
        if cell_len(text) >= self.size.width:
            self.notify(text, timeout=_LONG_STATUS_S, markup=False)

    @property
    def _parts(self) -> tuple[Rectangle, ...]:
        """The rectangles, unless another logo stands in the field since."""
        return self._rectangles if self._value("logo") == self._parts_of else ()

    def _value(self, field: str) -> str:
        return self.query_one(f"#{field}", Input).value

    def _parse(self) -> SearchRequest | None:
        """What the fields ask for; None if something is wrong, which is told."""
        values = {name: self._value(name) for name, _, _ in FIELDS}
        try:
            return parse_request(values, [one.crop for one in self._parts])
        except InputError as error:
            self._tell(str(error))
            return None

    @on(Input.Changed, "#logo")
    def _name_parts(self) -> None:
        """Say in the title how many parts of the logo are searched for."""
        parts = count(len(self._parts), "part") if self._parts else ""
        set_title(self.query_one("#fields"), f"search for {parts} of a logo" if parts else "search")

    @on(Input.Submitted)
    def action_find(self) -> None:
        """Search for what the fields say."""
        if self._is_searching:
            self.show_status("wait: the search is not done yet")
            return
        request = self._parse()
        if request is not None:
            self._is_searching = True
            self.show_status("searching")
            self._find(request)

    @work(thread=True, exclusive=True, group="search")
    def _find(self, request: SearchRequest) -> None:
        def report(line: str) -> None:
            self.post_message(StatusMessage(line))

        words = ["-k", str(list_length(self._run, request.logo)), *request.words()]
        try:
            text, told = subprocesses.search(self._run, words, report, self._quitting)
            if text:
                found = Searched(read_search(text), "" if _PROGRESS in told else told)
            else:
                found = Searched(None, told)
        except (InputError, OSError) as error:  # no memory for a process, or no room for its answer
            found = Searched(None, f"not searched: {safe(error)}")
        self.post_message(found)

    def on_searched(self, message: Searched) -> None:
        """Show what was found, or why nothing was."""
        self._is_searching = False
        self._tell(message.status)
        if message.search is not None:
            self._search, self._answer, self._page = message.search, 0, 0
            self._draw()
            self.set_focus(None)

    @work(thread=True, exclusive=True, group="saved")
    def _open_saved(self, name: str, by: int) -> None:
        """Read the saved search `by` places after the one of a name, or the newest."""
        paths = saved_searches(self._run)
        names = [path.name for path in paths]
        place = names.index(name) + by if name in names else -1
        if not paths:
            self.post_message(StatusMessage("no search is saved yet; w saves one" if by else ""))
            return
        try:
            self.post_message(SearchOpened(open_search(paths[place % len(paths)]), ""))
        except InputError as error:
            self.post_message(SearchOpened(None, str(error)))

    def on_search_opened(self, message: SearchOpened) -> None:
        """Show a saved search and fill the fields with it, unless somebody types there."""
        message.stop()
        self._tell(message.status)
        if message.search is None:
            return
        if self._search is None or message.search.record != self._search.record:
            if not (isinstance(self.focused, Input) and self._value("logo")):
                self._fill(message.search)
            self._answer = self._page = 0
        self._search = message.search
        self._draw()

    def _fill(self, search: Search) -> None:
        """Write a search into the fields, to be changed and repeated."""
        values, parts = field_values(search.record)
        for name, value in values.items():
            self.query_one(f"#{name}", Input).value = value
        self.query_one("#logo", Input).action_select_all()  # so that typing begins another one
        self._rectangles, self._parts_of = parts, values["logo"]

    def on_resize(self) -> None:
        """Draw everything for the new size."""
        self.call_after_refresh(self._draw)

    def on_line_static_resized(self) -> None:
        """Draw the matches for the new size."""
        self._draw()

    def draw_pictures(self) -> None:
        """Draw the pictures anew, in the way that was chosen."""
        self._draw()

    def sample_mark(self) -> "Pixels | None":
        """The nearest mark of the shown answer."""
        spec = self._spec()
        if spec is None or self._search is None or not spec.answer.matches:
            return None
        try:
            pack = open_cached_pack(self._search.record.pack)
        except InputError:  # the page says it
            return None
        row = spec.answer.matches[0].row
        return pack.read([row])[0] if 0 <= row < pack.count else None

    def _spec(self) -> AnswerSpec | None:
        """What the page shows; None where nothing was found or there is no room."""
        search = self._search
        width, height = self.query_one("#found-marks").size
        if search is None or not search.order or width < _MIN_GRID[0] or height < _MIN_GRID[1]:
            return None
        order = search.order
        self._answer = min(self._answer, len(order) - 1)
        size = default_page_size(self.size.height) if self._page_size is None else self._page_size
        return AnswerSpec(
            search.record.answers[order[self._answer]],
            self._answer + 1,
            len(order),
            self._page,
            width,
            height,
            PAGE_SIZES[size],
            picture_way(self.app),
            pixel_pictures(self.app),
        )

    def _draw(self) -> None:
        """Say what was searched, and draw the page in a thread."""
        search, marks = self._search, self.query_one("#found-marks", LineStatic)
        if search is None:
            marks.update(Text(_HINT))
            return
        record, spec = search.record, self._spec()
        saved = f"saved {record.searched[:16].replace('T', ' ')}, " if search.saved else ""
        told = safe(f"{saved}{record.searched_words()}. {record.note} {record.attribution}", 2000)
        line = Text(told, QUIET, no_wrap=True, overflow="ellipsis")
        self.query_one("#searched", Static).update(line)
        if spec is not None:
            self._request += 1
            self._draw_page(self._request, spec, record.pack)
        elif not search.order:
            marks.update(Text(nothing_found(record)))

    @work(thread=True, exclusive=True, group="page")
    def _draw_page(self, request: int, spec: AnswerSpec, folder: str) -> None:
        with self._drawing:  # an older page, drawn later, would take the pictures of this one
            if request != self._request:
                return
            try:
                pack = open_cached_pack(folder)
                text = answer_page(spec, compared_logo(spec.answer, pack.size), pack)
            except InputError as error:
                text = Text("\n").join(Text(safe(error)).wrap(self.app.console, spec.width))
        self.post_message(AnswerDrawn(request, tuple(text.split("\n", allow_blank=True))))

    def on_answer_drawn(self, message: AnswerDrawn) -> None:
        """Show a page unless another one has been requested since."""
        if message.request == self._request:
            self.query_one("#found-marks", LineStatic).draw(message.lines)

    def action_turn(self, by: int) -> None:
        """Turn to the next or the previous page; after the last comes the first."""
        spec = self._spec()
        if spec is not None:
            self._page = (min(self._page, spec.pages - 1) + by) % spec.pages
            self._draw()

    def action_ends(self, last: int) -> None:
        """Turn to the first or the last page."""
        spec = self._spec()
        if spec is not None:
            self._page = spec.pages - 1 if last else 0
            self._draw()

    def action_answer(self, by: int) -> None:
        """Show the next or the previous logo or part."""
        if self._search is not None and self._search.order:
            self._answer = (self._answer + by) % len(self._search.order)
            self._page = 0
            self._draw()

    def action_size(self, by: int) -> None:
        """Make the pictures larger or smaller."""
        now = default_page_size(self.size.height) if self._page_size is None else self._page_size
        self._page_size = min(len(PAGE_SIZES) - 1, max(0, now + by))
        self._page = 0
        self.post_message(PreferencesChanged(size=self._page_size))
        self.show_status(f"about {PAGE_SIZES[self._page_size]} matches on a page")
        self._draw()

    def action_search(self) -> None:
        """Go to the field of the logo."""
        self.set_focus(self.query_one("#logo"))

    def action_saved(self, by: int) -> None:
        """Show the saved search before or after this one."""
        self._open_saved(self._search.saved if self._search else "", by)

    def action_save(self) -> None:
        """Write the search to files of the run."""
        if self._search is None:
            self.show_status("nothing was searched yet")
        else:
            self.show_status("saving")
            self._save(self._search)

    @work(thread=True, exclusive=True, group="saved")
    def _save(self, search: Search) -> None:
        self.post_message(SearchOpened(*save_search(self._run, search)))

    def action_crop(self) -> None:
        """Read the logo, to lay rectangles on it."""
        request = self._parse()
        if request is not None and request.logo:
            self._read_logo(request.logo)
        elif request is not None:
            self.show_status("a text has no parts; type the path of an image")

    @work(thread=True, exclusive=True, group="logo")
    def _read_logo(self, path: str) -> None:
        try:
            self.post_message(LogoRead(*filed_logo(path)))
        except InputError as error:
            self.post_message(StatusMessage(f"{safe(path)}: {error}"))

    def on_logo_read(self, message: LogoRead) -> None:
        """Open the screen of rectangles."""
        if self.is_current:
            name = Path(message.name).name
            self.app.push_screen(CropScreen(name, message.pixels, self._parts), self._find_parts)

    def _find_parts(self, rectangles: tuple[Rectangle, ...] | None) -> None:
        """Search for the parts that were chosen, none for the whole."""
        if rectangles is not None:
            self._rectangles, self._parts_of = rectangles, self._value("logo")
            self._name_parts()
            self.action_find()

    def action_back(self) -> None:
        """Go from a field to what was found, or back to the curves."""
        if isinstance(self.focused, Input) and self._search is not None:
            self.set_focus(None)
        else:
            self.app.pop_screen()
