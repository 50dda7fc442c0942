"""Messages of the live screen: updates of the journal, and going to a step."""

import dataclasses

from textual.message import Message

from tmssl.runs.events import Event
from tmssl.runs.folder import Run
from tmssl.runs.history import History


@dataclasses.dataclass(frozen=True)
class JournalUpdate:
    """What one poll of a journal read."""

    run: Run
    """the run of the journal"""
    alive: bool
    """whether a trainer runs it"""
    events: tuple[Event, ...] = ()
    """appended since the previous update"""
    history: History | None = None
    """the history from its start, which replaces the receiver's; only the receiver changes it from now on"""
    share: float = 1.0
    """share of the journal that was read; below 1 the history is a sample"""
    problem: str = ""
    """why it could not be read"""


class JournalUpdated(Message):
    """The journal has grown, or the state of the trainer has changed."""

    def __init__(self, update: JournalUpdate) -> None:
        super().__init__()
        self.update = update


class GoToStep(Message):
    """Show a step in the charts."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
