"""The screens that are not there at the start, each loaded when it is asked for: the curves come 0.3 s sooner."""

from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tmssl.runs.checkpoints import Sidecar
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tui.bindings import Key

if TYPE_CHECKING:
    from tui.matches.screen import RetrievalScreen
    from tui.runs.dialogs import EvaluateDialog, ResumeDialog, StopDialog
    from tui.runs.screen import RunsScreen
    from tui.runs.start_form import StartForm
    from tui.widgets.text_screen import PageScreen


@runtime_checkable
class Says(Protocol):
    """A screen with a line for what an action has to say."""

    def show_status(self, text: str) -> None:
        """Show the text."""


@runtime_checkable
class Loads(Protocol):
    """A screen of evaluations."""

    def load(self, index: int) -> None:
        """Show another one, -1 for the newest."""


def runs(folder: Path, watched: Run | None = None) -> "RunsScreen":
    """Every run of a folder."""
    from tui.runs.screen import RunsScreen

    return RunsScreen(folder, watched)


def matches(run: Run) -> "RetrievalScreen":
    """The matches of the newest evaluation."""
    from tui.matches.screen import RetrievalScreen

    return RetrievalScreen(run)


def start() -> "StartForm":
    """The form of a new run."""
    from tui.runs.start_form import StartForm

    return StartForm()


def evaluate(checkpoints: dict[str, Sidecar], evaluated: frozenset[float]) -> "EvaluateDialog":
    """Which checkpoint to evaluate."""
    from tui.runs.dialogs import EvaluateDialog

    return EvaluateDialog(checkpoints, evaluated)


def stop() -> "StopDialog":
    """Whether to stop."""
    from tui.runs.dialogs import StopDialog

    return StopDialog()


def resume(history: History, alive: bool) -> "ResumeDialog":
    """How to go on."""
    from tui.runs.dialogs import ResumeDialog

    return ResumeDialog(history, alive)


def log(path: Path) -> "PageScreen":
    """What the trainer printed."""
    from tui.pages import log_page

    return log_page(path)


def config(history: History) -> "PageScreen":
    """The settings in force."""
    from tui.pages import config_page

    return config_page(history)


def keys(table: tuple[Key, ...], shown: object) -> "PageScreen | None":
    """Every key, unless that is what is shown."""
    from tui.pages import HelpPage, help_page

    return None if isinstance(shown, HelpPage) else help_page(table)
