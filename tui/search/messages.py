"""Messages of the workers that search, read and draw to the screens of a search."""

from typing import TYPE_CHECKING

from rich.text import Text
from textual.message import Message

from tui.search.records import Search

if TYPE_CHECKING:
    from tmssl.types import Pixels


class Searched(Message):
    """The command has ended."""

    def __init__(self, search: Search | None, status: str) -> None:
        super().__init__()
        self.search = search
        """None where it failed"""
        self.status = status
        """what to tell"""


class SearchOpened(Searched):
    """A saved search was read, or one was saved."""


class AnswerDrawn(Message):
    """A page of matches is drawn."""

    def __init__(self, request: int, lines: tuple[Text, ...]) -> None:
        super().__init__()
        self.request = request
        """number of the request that it answers; an older one is out of date"""
        self.lines = lines


class LogoRead(Message):
    """The logo that rectangles are to be laid on was read."""

    def __init__(self, name: str, pixels: "Pixels") -> None:
        super().__init__()
        self.name = name
        self.pixels = pixels
        """uint8 (h, w, 3)"""
