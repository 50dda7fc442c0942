"""The dialog that chooses the runs to overlay."""

from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Footer, Static

from tmssl.runs.folder import Run, list_runs
from tmssl.text import safe
from tui.bindings import OVERLAY
from tui.widgets.choices import Choices
from tui.widgets.dialog import Dialog

_MOST_RUNS = 5  # more colours are hard to distinguish


class OverlayDialog(Dialog[tuple[Run, ...]]):
    """The runs of the folder, each on or off; its result is None when cancelled."""

    BINDINGS = OVERLAY

    def __init__(self, watched: Run, shown: tuple[Path, ...]) -> None:
        super().__init__()
        self._runs = [run for run in list_runs(watched.path.parent) if run.path != watched.path]
        self._chosen = [path for path in shown if any(run.path == path for run in self._runs)]

    def compose(self) -> ComposeResult:
        """The list of runs."""
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
        for i, run in enumerate(self._runs):
            chosen = run.path in self._chosen
            letter = chr(ord("B") + self._chosen.index(run.path)) if chosen else " "
            lines.append((str(i), Text(f"[{letter}] {safe(run.name)}")))
        self.query_one(Choices).show(lines)
        problem = "" if self._runs else "no other run in this folder"
        self.query_one("#overlay-words", Static).update(Text(problem))

    def action_mark(self) -> None:
        """Switch the run under the cursor on or off."""
        index = self.query_one(Choices).chosen
        if not index:
            return
        path = self._runs[int(index)].path
        if path in self._chosen:
            self._chosen.remove(path)
        elif len(self._chosen) < _MOST_RUNS:
            self._chosen.append(path)
        self._show()

    def action_confirm(self) -> None:
        """Overlay the chosen runs."""
        by_path = {run.path: run for run in self._runs}
        self.close(tuple(by_path[path] for path in self._chosen))
