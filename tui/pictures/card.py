"""The card that shows one mark in each way that pictures can be drawn, to choose one by its number."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui.bindings import PICTURES, entries, key_names
from tui.pictures.pixels import PixelPictures
from tui.pictures.text import text_lines
from tui.widgets.dialog import Dialog
from tui.widgets.line_static import LineStatic

if TYPE_CHECKING:
    from tmssl.types import Pixels

_GAP = 2  # cells between pictures
_ROWS = (12, 9, 6)  # of a picture, twice as many cells wide
_AROUND = (4, 9)  # cells and lines of the dialog around the pictures


class PictureCard(Dialog[str]):
    """Its answer is a way, or `auto`."""

    BINDINGS = PICTURES

    def __init__(self, mark: "Pixels", ways: Sequence[str], pixels: PixelPictures) -> None:
        """Show a mark, uint8 (h, w, 3), in each of these ways."""
        super().__init__()
        self._mark = mark
        self._ways = tuple(ways)
        self._pixels = pixels

    def compose(self) -> ComposeResult:
        """The question, the pictures with their numbers, and what else can be chosen."""
        with Vertical(id="dialog", classes="fitted"):
            yield Static("Which of these shows the mark best? Press its number.\n", id="question")
            yield LineStatic("", id="ways")
            yield Static(Text(_others(self._ways)))
            yield Static("It is kept for this kind of terminal.")

    def on_mount(self) -> None:
        """Draw the pictures."""
        self._draw()

    def on_resize(self) -> None:
        """Draw the pictures as large as there is room now."""
        self._draw()

    def _draw(self) -> None:
        rows = fitting_rows(len(self._ways), *self.app.size)
        lines = specimens(self._mark, self._ways, rows, self._pixels)
        self.query_one("#ways", LineStatic).draw(lines)
        self.query_one("#ways").refresh(layout=True)

    def action_choose(self, way: str) -> None:
        """Close with a way, if it is on the card."""
        if way in (*self._ways, "off", "auto"):
            self.close(way)


def fitting_rows(count: int, width: int, height: int) -> int:
    """The most rows of `count` pictures side by side that a screen has room for."""
    for rows in _ROWS:
        across = count * (2 * rows + _GAP) - _GAP
        if across + _AROUND[0] <= width and rows + _AROUND[1] <= height:
            return rows
    return _ROWS[-1]


def specimens(
    mark: "Pixels", ways: Sequence[str], rows: int, pixels: PixelPictures
) -> tuple[Text, ...]:
    """A mark in each way side by side, with the number and the name of each below."""
    drawn = [text_lines([mark], 2 * rows, rows, way, pixels)[0] for way in ways]
    gap = Text(" " * _GAP)
    names = [Text(label.center(2 * rows), "bold") for label in _labels(ways)]
    return (*(gap.join(parts) for parts in zip(*drawn, strict=True)), gap.join(names), Text())


def _labels(ways: Sequence[str]) -> list[str]:
    """Number and name of each way."""
    named = {entry.action: entry for entry in entries(PICTURES)}
    found = [named[f"choose('{way}')"] for way in ways]
    return [f"{key_names(entry)[0]} {entry.description}" for entry in found]


def _others(ways: Sequence[str]) -> str:
    """The keys of what has no picture."""
    shown = [f"choose('{way}')" for way in ways]
    rest = ("choose('off')", "choose('auto')", "cancel")
    return "   ".join(
        f"{key_names(entry)[0]} {entry.description}"
        for entry in entries(PICTURES)
        if entry.action in rest and entry.action not in shown
    )
