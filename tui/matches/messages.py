"""What the workers that load and draw matches tell their screen."""

from typing import Any

from rich.text import Text
from textual.message import Message

from tui.matches.evaluations import LoadedEvaluation


class MatchesLoaded(Message):
    """An evaluation's matches are in memory: the one to show, or the one to compare it with."""

    def __init__(self, loaded: LoadedEvaluation, *, beside: bool = False) -> None:
        super().__init__()
        self.loaded = loaded
        self.beside = beside


class PageDrawn(Message):
    """A query and its matches as pictures, lines that are ready to be shown."""

    def __init__(self, ticket: Any, lines: tuple[Text, ...]) -> None:
        super().__init__()
        self.ticket = ticket
        self.lines = lines
