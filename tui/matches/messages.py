"""Messages of the workers that load and draw matches to their screen."""

from rich.text import Text
from textual.message import Message

from tui.matches.evaluations import LoadedEvaluation


class MatchesLoaded(Message):
    """An evaluation is loaded."""

    def __init__(self, loaded: LoadedEvaluation, *, to_compare: bool = False) -> None:
        super().__init__()
        self.loaded = loaded
        self.to_compare = to_compare
        """whether it is compared with the shown evaluation, instead of shown"""


class PageDrawn(Message):
    """The page of a query is drawn."""

    def __init__(self, request: int, lines: tuple[Text, ...]) -> None:
        super().__init__()
        self.request = request
        """number of the request that it answers; an older one is out of date"""
        self.lines = lines
