"""Messages that any screen or worker may post to the app, and what the app calls on a screen in return.

Messages of one room stand in its messages.py.
"""

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from textual.message import Message

if TYPE_CHECKING:
    from tmssl.runs.history import History
    from tmssl.types import Pixels


EVALUATION = "the evaluation"
"""name of the background action after which screens show the new evaluation"""


class StatusMessage(Message):
    """A line for the status line of the current screen."""

    def __init__(self, text: str, *, done: bool = False) -> None:
        super().__init__()
        self.text = text
        self.done = done
        """whether the background action that it reports has ended"""


class PreferencesChanged(Message):
    """The user changed how the monitor looks; the changes are fields of `Preferences` by name."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes


@runtime_checkable
class HasStatusLine(Protocol):
    """A screen with a line for the progress and the outcome of actions."""

    def show_status(self, text: str) -> None:
        """Show a text there."""


@runtime_checkable
class ShowsEvaluations(Protocol):
    """A screen that shows one evaluation at a time."""

    def load(self, index: int) -> None:
        """Show another evaluation; -1 is the newest."""


@runtime_checkable
class ShowsHistory(Protocol):
    """A screen other than the curves that shows what the watched run has written."""

    def show_history(self, history: "History") -> None:
        """Show it as it is now."""


@runtime_checkable
class ShowsPictures(Protocol):
    """A screen with pictures of marks."""

    def draw_pictures(self) -> None:
        """Draw them anew, in the way that was chosen."""

    def sample_mark(self) -> "Pixels | None":
        """One of the marks on the page, uint8 (h, w, 3); None where there is none."""
