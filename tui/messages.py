"""Messages that any screen or worker may post to the app; messages of one room stand in its messages.py."""

from typing import Any

from textual.message import Message


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
