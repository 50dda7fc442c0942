"""The screen of all runs of a folder, where runs are opened, compared and started."""

from pathlib import Path

from rich.text import Text
from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Footer, Input, OptionList, Static
from textual.worker import get_current_worker

from tmssl.errors import RunError
from tmssl.runs.folder import Run
from tmssl.runs.listing import Listing, Row
from tmssl.text import count, safe
from tui.bindings import RUNS
from tui.messages import StatusMessage
from tui.paths import display_path
from tui.runs.comparison import comparison_page
from tui.runs.messages import FolderRead, OpenRun, RunRead
from tui.runs.run_list import detail_lines, list_heading, list_line
from tui.widgets.choices import Choices
from tui.widgets.searchable_screen import FilteredScreen

_POLL_S = 2.0  # between two readings of the folder
_COMPARED = 2  # runs


class RunsScreen(FilteredScreen):
    """The list of runs."""

    BINDINGS = RUNS

    AUTO_FOCUS = CONTENT = "#runs"

    def __init__(self, folder: Path, watched: Run | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._rows: dict[str, Row] = {}
        self._marked: list[str] = []
        self._is_complete = False
        self._cursor_wanted = watched.name if watched else ""  # until the watched run is read
        self._cursor_placed = False

    def compose(self) -> ComposeResult:
        """The folder, a filter that is hidden at first, the list, and details of the selected run."""
        yield Static(Text(f"runs in {display_path(self._folder)}"), classes="heading", id="where")
        yield Input(placeholder="name, state or setting, such as lr=0.1", id="search", compact=True)
        yield Static("", id="head", classes="line")
        yield Choices(id="runs", compact=True)
        yield Static("", id="about")
        yield Static("", id="status", classes="line")
        yield Footer()

    def on_mount(self) -> None:
        """Hide the filter and start reading."""
        self.query_one("#search").display = False
        self._read_folder()

    def show_status(self, text: str) -> None:
        """Show the progress or the outcome of an action."""
        self.query_one("#status", Static).update(Text(text, style="italic"))

    @work(thread=True, exclusive=True, group="runs")
    def _read_folder(self) -> None:
        """Read the runs again and again until the screen is closed."""
        worker, listing = get_current_worker(), Listing(self._folder)
        while not worker.is_cancelled:
            names = set()
            try:
                for row in listing.rows():
                    names.add(row.run.name)
                    self.post_message(RunRead(row))
                    if worker.is_cancelled:
                        return
            except RunError as error:
                self.post_message(StatusMessage(str(error)))
            self.post_message(FolderRead(frozenset(names)))
            worker.cancelled_event.wait(_POLL_S)

    def on_run_read(self, message: RunRead) -> None:
        """Show a new or changed run."""
        self._rows[message.row.run.name] = message.row
        self.show_content()

    def on_folder_read(self, message: FolderRead) -> None:
        """Remove runs that are gone."""
        self._is_complete = True
        self._rows = {name: row for name, row in self._rows.items() if name in message.names}
        self._marked = [name for name in self._marked if name in self._rows]
        self.show_content()

    def on_resize(self) -> None:
        """Make the lines anew for the width."""
        self.call_after_refresh(self.show_content)

    def _filtered_rows(self) -> list[Row]:
        """The rows that fit the filter, running ones first, then by name from the last."""
        rows = sorted(
            self._rows.values(),
            key=lambda row: (row.state == "running", row.run.name),
            reverse=True,
        )
        return [row for row in rows if row.matches(self.filter_text)]

    def show_content(self) -> None:
        """Show the runs that fit the filter."""
        width = self.size.width - 2
        rows = self._filtered_rows()
        heading = Text(list_heading(width), style="bold", no_wrap=True)
        self.query_one("#head", Static).update(heading)
        choices = self.query_one("#runs", Choices)
        # Rows are read in the order of names; until then, the cursor stays on the first if it was not moved.
        untouched = not self._is_complete and not choices.highlighted and not self._cursor_placed
        choices.show(
            [(row.run.name, list_line(row, width, row.run.name in self._marked)) for row in rows]
        )
        if untouched and rows:
            choices.highlighted = 0
        if self._cursor_wanted in self._rows:
            choices.choose(self._cursor_wanted)
            self._cursor_wanted, self._cursor_placed = "", True
        title = f"runs in {display_path(self._folder)}: {count(len(self._rows), 'run')}"
        if self.filter_text:
            title += f", {len(rows)} with '{safe(self.filter_text)}'"
        self.query_one("#where", Static).update(Text(title, style="bold"))
        self._show_details()

    @on(OptionList.OptionHighlighted, "#runs")
    def _show_details(self) -> None:
        """Show the details of the selected run, or why none is selected."""
        row = self._rows.get(self.query_one("#runs", Choices).chosen)
        if row is not None:
            text = Text("\n").join(detail_lines(row))
        elif not self._is_complete:
            text = Text("reading the runs")
        elif self._rows:
            text = Text("no run contains that text; press esc for all")
        else:
            text = Text("no runs here yet; press n to start one")
        self.query_one("#about", Static).update(text)

    @on(OptionList.OptionSelected, "#runs")
    def action_open(self) -> None:
        """Watch the run under the cursor."""
        row = self._rows.get(self.query_one("#runs", Choices).chosen)
        if row is not None:
            self.post_message(OpenRun(row.run))

    def action_mark(self) -> None:
        """Mark or unmark the run under the cursor; a third mark removes the first."""
        name = self.query_one("#runs", Choices).chosen
        if name in self._marked:
            self._marked.remove(name)
        elif name:
            self._marked = [*self._marked, name][-_COMPARED:]
        self.show_content()

    def action_compare(self) -> None:
        """Compare two marked runs, or one marked run with the one under the cursor."""
        names = list(self._marked)
        chosen = self.query_one("#runs", Choices).chosen
        if len(names) == 1 and chosen and chosen not in names:
            names.append(chosen)
        if len(names) == _COMPARED:
            self.app.push_screen(comparison_page(*(self._rows[name] for name in names)))
        else:
            self.show_status("mark two runs with space, then press c")
