"""Every run of a folder: state, epoch, loss against chance, best evaluation; opened and compared."""

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
from tui.runs.messages import OpenRun, RowSeen
from tui.runs.run_list import about_words, row_head, row_text
from tui.widgets.choices import Choices
from tui.widgets.searchable_screen import SearchableScreen

_LOOK_S = 2.0  # between looks at the folder
_MOST = 2  # runs that are compared


class RunsScreen(SearchableScreen):
    """The list of runs."""

    BINDINGS = RUNS

    AUTO_FOCUS = "#runs"

    def __init__(self, folder: Path, current: Run | None = None) -> None:
        super().__init__()
        self._folder = folder
        self._current = current.name if current else ""
        self._rows: dict[str, Row] = {}
        self._marked: list[str] = []
        self._wanted = ""
        self._complete = False
        self._found = False  # the run that was watched, on which the cursor then is

    def compose(self) -> ComposeResult:
        """The folder, a filter that comes when asked for, the list, what the cursor is on."""
        yield Static(Text(f"runs in {display_path(self._folder)}"), classes="heading", id="where")
        yield Input(placeholder="name, state or setting, such as lr=0.1", id="search", compact=True)
        yield Static("", id="head", classes="line")
        yield Choices(id="runs", compact=True)
        yield Static("", id="about")
        yield Static("", id="status", classes="line")
        yield Footer()

    def on_mount(self) -> None:
        """Hide the filter and look."""
        self.query_one("#search").display = False
        self._look()

    def show_status(self, text: str) -> None:
        """A line about an action."""
        self.query_one("#status", Static).update(Text(text, style="italic"))

    @work(thread=True, exclusive=True, group="runs")
    def _look(self) -> None:
        """Read the runs again and again, until the screen is gone."""
        worker, listing = get_current_worker(), Listing(self._folder)
        while not worker.is_cancelled:
            seen = []
            try:
                for row in listing.rows():
                    seen.append(row.run.name)
                    self.post_message(RowSeen(row))
                    if worker.is_cancelled:
                        return
            except RunError as error:
                self.post_message(StatusMessage(str(error)))
            self.post_message(RowSeen(None, tuple(seen)))
            worker.cancelled_event.wait(_LOOK_S)

    def on_row_seen(self, message: RowSeen) -> None:
        """One more row, or the end of a look."""
        if message.row is not None:
            self._rows[message.row.run.name] = message.row
        else:
            self._complete = True
            self._rows = {name: row for name, row in self._rows.items() if name in message.seen}
            self._marked = [name for name in self._marked if name in self._rows]
        self._show()

    def on_resize(self) -> None:
        """Lines are made for the width."""
        self.call_after_refresh(self._show)

    def _fitting(self) -> list[Row]:
        """The rows that the filter lets through: what runs first, then the newest name."""
        rows = sorted(
            self._rows.values(),
            key=lambda row: (row.state == "running", row.run.name),
            reverse=True,
        )
        return [row for row in rows if row.holds(self._wanted)]

    def _show(self) -> None:
        width = self.size.width - 2
        rows = self._fitting()
        self.query_one("#head", Static).update(Text(row_head(width), style="bold", no_wrap=True))
        choices = self.query_one("#runs", Choices)
        # Rows come in the order of names: until all are there the cursor is on the first, if nobody moved it.
        untouched = not self._complete and not choices.highlighted and not self._found
        choices.show(
            [(row.run.name, row_text(row, width, row.run.name in self._marked)) for row in rows]
        )
        if untouched and rows:
            choices.highlighted = 0
        if self._current and self._current in self._rows:
            choices.choose(self._current)
            self._current, self._found = "", True
        words = f"runs in {display_path(self._folder)}: {count(len(self._rows), 'run')}"
        if self._wanted:
            words += f", {len(rows)} with '{safe(self._wanted)}'"
        self.query_one("#where", Static).update(Text(words, style="bold"))
        self._show_about()

    @on(OptionList.OptionHighlighted, "#runs")
    def _show_about(self) -> None:
        """What there is to say of the run under the cursor."""
        row = self._rows.get(self.query_one("#runs", Choices).chosen)
        text = Text("\n").join(about_words(row)) if row else Text(self._nothing())
        self.query_one("#about", Static).update(text)

    def _nothing(self) -> str:
        """Why no run is under the cursor."""
        if not self._complete:
            return "reading the runs"
        if self._rows:
            return "no run holds that; press esc for all"
        return "no runs here yet; press n to start one"

    @on(OptionList.OptionSelected, "#runs")
    def action_open(self) -> None:
        """Watch the run under the cursor."""
        row = self._rows.get(self.query_one("#runs", Choices).chosen)
        if row is not None:
            self.post_message(OpenRun(row.run))

    def action_mark(self) -> None:
        """Mark the run under the cursor, or take its mark away; the oldest of three goes."""
        name = self.query_one("#runs", Choices).chosen
        if name in self._marked:
            self._marked.remove(name)
        elif name:
            self._marked = [*self._marked, name][-_MOST:]
        self._show()

    def action_compare(self) -> None:
        """How the marked runs differ; one marked run is compared with the one under the cursor."""
        names = list(self._marked)
        chosen = self.query_one("#runs", Choices).chosen
        if len(names) == 1 and chosen and chosen not in names:
            names.append(chosen)
        if len(names) == _MOST:
            self.app.push_screen(comparison_page(*(self._rows[name] for name in names)))
        else:
            self.show_status("mark two runs with space, then press c")

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        self._wanted = event.value.strip()
        self._show()

    @on(Input.Submitted, "#search")
    def _searched(self) -> None:
        self._close_filter()

    def _close_filter(self) -> None:
        """Back to the list; what is typed stays in force."""
        self.query_one("#search").display = bool(self._wanted)
        self.query_one("#runs").focus()

    def action_back(self) -> None:
        """Clear the filter, or go back to the run that was watched."""
        if self._wanted or self.query_one("#search").display:
            self.query_one("#search", Input).value = self._wanted = ""
            self._close_filter()
            self._show()
        elif len(self.app.screen_stack) > 2:  # below is Textual's own and the run's
            self.app.pop_screen()
