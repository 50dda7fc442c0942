"""What workers tell the screens; each carries frozen data."""

from typing import Any

from textual.message import Message


class Said(Message):
    """A line about an action on its way or done."""

    def __init__(self, words: str, *, done: bool = False) -> None:
        super().__init__()
        self.words = words
        self.done = done


class Remember(Message):
    """A person has changed how the monitor looks; fields of `Remembered` by name."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes
