"""What the worker that reads a journal tells the live screen."""

import dataclasses

from textual.message import Message

from tmssl.runs.events import Event
from tmssl.runs.folder import Run
from tmssl.runs.history import History


@dataclasses.dataclass(frozen=True)
class JournalUpdate:
    """What a look at a journal found."""

    run: Run
    """whose journal it is"""
    alive: bool
    """whether a trainer holds the run"""
    events: tuple[Event, ...] = ()
    """what was appended since the look before"""
    history: History | None = None
    """the whole, in place of all before; the receiver's alone from now on"""
    share: float = 1.0
    """how much of the journal has been read; below 1 the history is a sample of it"""
    problem: str = ""
    """why it could not be read"""


class JournalUpdated(Message):
    """The journal has grown, or the trainer's state was looked at again."""

    def __init__(self, news: JournalUpdate) -> None:
        super().__init__()
        self.news = news


class GoToStep(Message):
    """A person wants to see the curves at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step
