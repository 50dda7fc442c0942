"""What workers tell the screens; each carries frozen data."""

import dataclasses
from typing import Any

from rich.text import Text
from textual.message import Message

from tmssl.runs.events import Event
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.runs.listing import Row
from tui.drawing import Drawing
from tui.evaluations import Loaded


@dataclasses.dataclass(frozen=True)
class News:
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


class JournalNews(Message):
    """The journal has grown, or the trainer's state was looked at again."""

    def __init__(self, news: News) -> None:
        super().__init__()
        self.news = news


class ChartsDrawn(Message):
    """The charts of the live screen are ready to be shown."""

    def __init__(self, drawing: Drawing | None, problem: str = "") -> None:
        super().__init__()
        self.drawing = drawing
        self.problem = problem


class Said(Message):
    """A line about an action on its way or done."""

    def __init__(self, words: str, *, done: bool = False) -> None:
        super().__init__()
        self.words = words
        self.done = done


class MatchesLoaded(Message):
    """An evaluation's matches are in memory: the one to show, or the one to compare it with."""

    def __init__(self, loaded: Loaded, *, beside: bool = False) -> None:
        super().__init__()
        self.loaded = loaded
        self.beside = beside


class PageDrawn(Message):
    """A query and its matches as pictures, lines that are ready to be shown."""

    def __init__(self, ticket: Any, lines: tuple[Text, ...]) -> None:
        super().__init__()
        self.ticket = ticket
        self.lines = lines


class RowSeen(Message):
    """A run of the folder was read; without a row, all of them were, by these names."""

    def __init__(self, row: Row | None, seen: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.row = row
        self.seen = seen


class OpenRun(Message):
    """A person wants to watch a run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


class StartRun(Message):
    """A person wants to start a run."""

    def __init__(self, recipe: str, name: str, settings: tuple[str, ...]) -> None:
        super().__init__()
        self.recipe = recipe
        self.name = name
        self.settings = settings


class GoToStep(Message):
    """A person wants to see the curves at a step."""

    def __init__(self, step: int) -> None:
        super().__init__()
        self.step = step


class Remember(Message):
    """A person has changed how the monitor looks; fields of `Remembered` by name."""

    def __init__(self, **changes: Any) -> None:
        super().__init__()
        self.changes = changes
