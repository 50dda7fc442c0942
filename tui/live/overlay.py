"""Which other runs to lay over the watched one."""

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Footer, Static

from tmssl.runs.folder import Run, list_runs
from tmssl.text import safe
from tui.bindings import OVERLAY
from tui.widgets.choices import Choices

MOST = 5
"""runs beside the watched one; more colours could not be told apart"""


class OverlayDialog(ModalScreen[tuple[Run, ...] | None]):
    """The runs of the folder, each on or off."""

    BINDINGS = OVERLAY

    def __init__(self, watched: Run, shown: tuple[Path, ...]) -> None:
        super().__init__()
        self._runs = [run for run in list_runs(watched.path.parent) if run.path != watched.path]
        self._chosen = [path for path in shown if any(run.path == path for run in self._runs)]

    def compose(self) -> ComposeResult:
        """A list to choose from."""
        with Vertical(id="dialog"):
            yield Static(Text("Runs to lay over this one", "bold"))
            yield Choices(id="kept", compact=True)
            yield Static("", id="overlay-words")
            yield Footer()

    def on_mount(self) -> None:
        """Show the list."""
        self._show()
        self.query_one(Choices).focus()

    def _show(self) -> None:
        lines = []
        for at, run in enumerate(self._runs):
            place = self._chosen.index(run.path) + 1 if run.path in self._chosen else 0
            sign = chr(65 + place) if place else " "
            lines.append((str(at), Text(f"[{sign}] {safe(run.name)}")))
        self.query_one(Choices).show(lines)
        words = "" if self._runs else "no other run in this folder"
        self.query_one("#overlay-words", Static).update(Text(words))

    def action_mark(self) -> None:
        """The run under the cursor, on or off."""
        place = self.query_one(Choices).chosen
        if not place:
            return
        path = self._runs[int(place)].path
        if path in self._chosen:
            self._chosen.remove(path)
        elif len(self._chosen) < MOST:
            self._chosen.append(path)
        self._show()

    def action_confirm(self) -> None:
        """Draw them."""
        by_path = {run.path: run for run in self._runs}
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(tuple(by_path[path] for path in self._chosen))

    def action_cancel(self) -> None:
        """As before."""
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(None)
