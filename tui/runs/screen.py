"""The screen of all runs of a folder, where runs are opened, compared and started."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, Static
from textual.worker import get_current_worker

from tmssl.errors import RunError
from tmssl.runs.folder import Run
from tmssl.runs.listing import Row
from tmssl.runs.scan import Scan
from tmssl.text import count, safe
from tui.bindings import RUNS
from tui.messages import PreferencesChanged, StatusMessage
from tui.options import display_options
from tui.paths import display_path
from tui.preferences import Preferences
from tui.runs.column_dialog import ColumnDialog, ListLayout
from tui.runs.columns import DEFAULT, Column, fitting, offered, sort_rows
from tui.runs.comparison import comparison_page
from tui.runs.messages import OpenRun, RunsRead
from tui.runs.preview import RunPreview, chart_panel
from tui.runs.run_filter import parse_filter
from tui.runs.run_list import LEAST_NAME, MOST_NAME, detail_lines, list_heading, list_line
from tui.theme import colour_styles, size_classes
from tui.widgets.long_list import LongList
from tui.widgets.panel import panel, set_title
from tui.widgets.searchable_screen import FilteredScreen

if TYPE_CHECKING:
    from tmssl.types import Pixels

_POLL_S = 2.0  # between two looks at the folder
_BATCH_S = 0.25  # for which rows are gathered before they are shown
_LEAST_ROWS = 8  # of the list with its frame, above charts
_ROOM = 90  # cells of the list in which names are shown whole
_COMPARED = 2  # runs
_MOST_MARKED = 5  # more colours are hard to distinguish, with that of the run under the cursor


class RunsScreen(FilteredScreen):
    """The list of runs."""

    BINDINGS = RUNS

    AUTO_FOCUS = CONTENT = "#runs"

    def __init__(self, folder: Path, watched: Run | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._rows: dict[str, Row] = {}
        self._marked: list[str] = []
        self._columns: list[Column] = []
        self._layout_kept = ListLayout(DEFAULT)
        self._is_complete = False
        self._cursor_wanted = watched.name if watched else ""  # until the watched run is read
        self._cursor_placed = False
        self._shown_whole = False

    def compose(self) -> ComposeResult:
        """The folder, a filter that is hidden at first, the list, and details of the selected run."""
        self.add_class(*size_classes(*self.app.size))
        yield Input(placeholder="lr>=1e-3 state=running name~toy", id="search", compact=True)
        with Horizontal(id="all"):
            with Vertical(classes="main"):
                with panel(Vertical(id="where"), "runs"):
                    yield Static("", id="head", classes="line")
                    yield LongList(id="runs")
                yield Horizontal(*map(chart_panel, ("loss", "hits")), id="below-runs")
            yield RunPreview()
        yield panel(Static("", id="about"), "about this run")
        yield Static("", id="status", classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Hide the filter, take the columns that were chosen before, and start reading."""
        self.query_one("#search").display = False
        kept = getattr(self.app, "preferences", Preferences())
        self._layout_kept = ListLayout(kept.run_columns or DEFAULT, kept.run_order)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show_content())
        self._read_folder()

    def show_status(self, text: str) -> None:
        """Show the progress or the outcome of an action."""
        self.query_one("#status", Static).update(Text(text, style="italic"))

    @work(thread=True, exclusive=True, group="runs")
    def _read_folder(self) -> None:
        """Look at the runs again and again until the screen is closed."""
        worker, scan, complete = get_current_worker(), Scan(self._folder), False
        while not worker.is_cancelled:
            rows: list[Row] = []
            shown_at = time.monotonic()
            try:
                for row in scan.look():
                    rows.append(row)
                    if worker.is_cancelled:
                        return
                    if time.monotonic() - shown_at > _BATCH_S:
                        self.post_message(RunsRead(tuple(rows), scan.names, complete))
                        rows, shown_at = [], time.monotonic()
            except RunError as error:
                self.post_message(StatusMessage(str(error)))
            complete = True
            self.post_message(RunsRead(tuple(rows), scan.names, complete))
            worker.cancelled_event.wait(_POLL_S)

    def on_runs_read(self, message: RunsRead) -> None:
        """Show new and changed runs, and remove those that are gone."""
        gone = self._rows.keys() - message.names
        changed = {row.run.name: row for row in message.rows if row.run.name in message.names}
        if not gone and not changed and self._is_complete == message.is_complete:
            return
        self._is_complete = message.is_complete
        self._rows = {n: row for n, row in (self._rows | changed).items() if n not in gone}
        self._marked = [name for name in self._marked if name in self._rows]
        self.show_content()

    def on_resize(self) -> None:
        """Make the lines anew for the width."""
        self.call_after_refresh(self.show_content)

    def on_line_static_resized(self) -> None:
        """Draw the preview for the new sizes of its panels."""
        self.query_one(RunPreview).show_again()

    def draw_pictures(self) -> None:
        """Draw the pictures anew, in the way that was chosen."""
        self.query_one(RunPreview).show_again()

    def sample_mark(self) -> "Pixels | None":
        """The query whose matches are shown."""
        return self.query_one(RunPreview).mark

    @property
    def _order(self) -> str:
        """What the list is sorted by."""
        return self._layout_kept.order

    def show_content(self) -> None:
        """Show the runs that fit the filter."""
        wanted, width = parse_filter(self.filter_text), self._width
        fitting_rows = [row for row in self._rows.values() if wanted.fits(row)]
        names = [row.run.name for row in sort_rows(fitting_rows, self._order)]
        rows = list(self._rows.values())
        longest = max((len(name) for name in names), default=0)
        name_cells = max(LEAST_NAME, min(MOST_NAME, longest) if width >= _ROOM else 0)
        self._columns = fitting(self._layout_kept.columns, rows, width - 2, name_cells)
        head = list_heading(self._columns, width, self._order)
        self.query_one("#head", Static).update(head)
        runs = self.query_one("#runs", LongList)
        # Rows are read in the order of names; until then, the cursor stays on the first if it was not moved.
        untouched = not self._shown_whole and not runs.cursor and not self._cursor_placed
        self._shown_whole = self._is_complete
        runs.show(names, self._line)
        if untouched:
            runs.action_first()
        if self._cursor_wanted in self._rows:
            runs.choose(self._cursor_wanted)
            self._cursor_wanted, self._cursor_placed = "", True
        title = count(len(self._rows), "run")
        if self.filter_text:
            title = f"{len(names):,} of {title} with {safe(self.filter_text)}"
        title += f" in {display_path(self._folder)}"
        where = self.query_one("#where")
        set_title(where, title)
        # Where charts stand below, a short list leaves them its room.
        beside = self.has_class("-tall") and not self.has_class("-narrow")
        lines = max(_LEAST_ROWS, min(len(names) + 3, self.size.height // 2))
        where.styles.height = lines if beside else "1fr"
        self._show_details()

    @property
    def _width(self) -> int:
        """Cells of a line of the list, without a scroll bar."""
        return self.query_one("#runs").size.width - 1

    def _line(self, name: str) -> Text:
        """The line of a run."""
        style_of = colour_styles(display_options(self.app))
        return list_line(self._rows[name], self._columns, self._width, self._letter(name), style_of)

    def _letter(self, name: str) -> str:
        """The letter of a marked run in the chart, where the run under the cursor is A; a star under it."""
        others = self._others
        if name in others:
            return chr(ord("B") + others.index(name))
        return "*" if name in self._marked else ""

    @property
    def _others(self) -> list[str]:
        """The marked runs but the one under the cursor."""
        chosen = self.query_one("#runs", LongList).chosen
        return [name for name in self._marked if name != chosen]

    @on(LongList.Highlighted, "#runs")
    def _show_details(self) -> None:
        """Show the details of the selected run, or why none is selected."""
        row = self._rows.get(self.query_one("#runs", LongList).chosen)
        if row is not None:
            text = Text("\n").join(detail_lines(row))
            shown = (row, *(self._rows[name] for name in self._others))
            self.query_one(RunPreview).show(tuple(one.run for one in shown))
        elif not self._is_complete:
            text = Text("reading the runs")
        elif self._rows:
            problem = parse_filter(self.filter_text).problem(self._rows.values())
            text = Text(f"{problem or 'no run fits'}; press esc for all")
        else:
            text = Text("no runs here yet; press n to start one")
        self.query_one("#about", Static).update(text)
        if self._marked:
            self.query_one("#runs").refresh()  # their letters depend on the cursor

    @on(LongList.Selected, "#runs")
    def action_open(self) -> None:
        """Watch the run under the cursor."""
        row = self._rows.get(self.query_one("#runs", LongList).chosen)
        if row is not None:
            self.post_message(OpenRun(row.run))

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor; a mark too many removes the first."""
        name = self.query_one("#runs", LongList).chosen
        if name in self._marked:
            self._marked.remove(name)
        elif name:
            self._marked = [*self._marked, name][-_MOST_MARKED:]
        self.show_content()

    def action_compare(self) -> None:
        """Compare the last two marked runs, or one marked run with the one under the cursor."""
        names = self._marked[-_COMPARED:]
        chosen = self.query_one("#runs", LongList).chosen
        if len(names) == 1 and chosen and chosen not in names:
            names.append(chosen)
        if len(names) == _COMPARED:
            self.app.push_screen(comparison_page(*(self._rows[name] for name in names)))
        else:
            self.show_status("mark two runs with space, then press c")

    def action_columns(self) -> None:
        """Choose the columns and the order."""
        names = offered(self._rows.values())
        self.app.push_screen(ColumnDialog(names, self._layout_kept), self._use_columns)

    def _use_columns(self, layout: ListLayout | None) -> None:
        """Use the chosen columns, and keep them."""
        if layout is not None:
            self._layout_kept = layout
            self.post_message(
                PreferencesChanged(run_columns=layout.columns, run_order=layout.order)
            )
            self.show_content()
