"""Sends only the cells that change: it remembers what the terminal shows, as curses does.

Textual sends a whole line when one character has changed, and each segment with all of its colours.
"""

import functools
import itertools
import re
from collections.abc import Iterator

from rich.cells import cell_len

from tui.pictures import placeholders

_TOKEN = re.compile(
    r"\x1b\[(?P<pen>[0-9;]*)m|\x1b\[(?P<row>\d+);(?P<column>\d+)H|(?P<line>\n)|(?P<sync>\x1b\[\?2026[hl])"
    r"|(?P<text>[^\x00-\x1f]+)"
)
_VISIBLE_ON_SPACE = frozenset(
    "4 5 7 9 21 53".split()
)  # underline, blink, reverse, strike, overline
Pen = tuple[frozenset[str], str, str]
"""attributes, foreground and background, as SGR parameters"""
_PLAIN: Pen = (frozenset(), "39", "49")


class CellDiff:
    """What the terminal shows: the character and the pen of each cell, the cursor and the current pen."""

    def __init__(self, namespace: int = 1) -> None:
        """Know nothing of the terminal; `namespace` is the highest byte of the ids of pictures in pixels."""
        self._namespace = namespace
        self._characters: dict[int, list[str]] = {}
        self._pens: dict[int, list[Pen | None]] = {}
        self._pen: Pen | None = None
        self._cursor: tuple[int, int] | None = None
        self._output: list[str] = []
        self._stale = False

    def forget(self) -> None:
        """Assume nothing from the next frame on: the terminal has changed its cells or its size.

        A signal or another thread may call this while a frame is compared, so it only leaves a note.
        """
        self._stale = True

    def slots(self, columns: int, rows: int) -> set[int]:
        """Which pictures in pixels have cells on a terminal of this size.

        A frame that was made just before the terminal became smaller has cells beyond it.
        """
        seen = [line[:columns] for row, line in list(self._characters.items()) if row <= rows]
        runs = placeholders.RUN.findall("".join(itertools.chain.from_iterable(seen)))
        return {slot for run in runs for slot in map(placeholders.slot_of, run)}

    def diff(self, frame: str) -> str:
        """The part of a frame that must be sent; the frame begins with a cursor position."""
        tokens = list(_TOKEN.finditer(frame))
        if sum(len(token[0]) for token in tokens) != len(frame) or "\x1b[" not in frame:
            self.forget()
            # Not a frame as Textual makes them; its pictures come with the next one.
            return "\x1b[0m" + placeholders.RUN.sub(lambda run: " " * len(run[0]), frame)
        if self._stale:
            self._stale = False  # first, so that a call from now on counts for the next frame
            self._characters, self._pens, self._pen, self._cursor = {}, {}, None, None
        self._output, pen, row, column = [], _PLAIN, 0, 0
        for token in tokens:
            kind = token.lastgroup
            if kind == "pen":
                pen = _parse_pen(token["pen"])
            elif kind == "column":
                row, column = int(token["row"]), int(token["column"]) - 1
            elif kind == "line":
                row, column = row + 1, 0
            elif kind == "sync":
                self._output.append(token[0])
            else:
                for text, own in _parts(token[0], pen):
                    column = self._write(text, own, row, column)
        empty = all(part.startswith("\x1b[?2026") for part in self._output)
        return "" if empty else "".join(self._output)

    def _write(self, text: str, pen: Pen, row: int, column: int) -> int:
        """Send what changes of a text in one pen; returns the column after it."""
        end = column + cell_len(text)
        characters, pens = self._characters.setdefault(row, []), self._pens.setdefault(row, [])
        missing = end - len(characters)
        if missing > 0:
            characters += [""] * missing
            pens += [None] * missing
        if end - column != len(text):  # wide characters: always sent, and never remembered
            self._send(text, pen, row, column)
            characters[column:end] = [""] * (end - column)
            pens[column:end] = [None] * (end - column)
            self._cursor = None
            return end
        start = None  # of the changed cells that are not sent yet
        for i, character in enumerate(text, column):
            visible = _pen_on_space(pen) if character == " " else pen
            if characters[i] == character and pens[i] == visible:
                if start is not None:
                    self._send(text[start - column : i - column], pen, row, start)
                    start = None
                continue
            characters[i], pens[i] = character, visible
            if start is None:
                start = i
        if start is not None:
            self._send(text[start - column :], pen, row, start)
        return end

    def _send(self, text: str, pen: Pen, row: int, column: int) -> None:
        """Send a text, with the cursor movement and the pen change that it needs."""
        if self._cursor is None or self._cursor[0] != row or self._cursor[1] > column:
            self._output.append(f"\x1b[{row};{column + 1}H")
        elif self._cursor[1] < column:
            cells = column - self._cursor[1]
            self._output.append(f"\x1b[{cells if cells > 1 else ''}C")
        wanted = pen
        blank = not text.strip(" ")
        if self._pen and blank and not _VISIBLE_ON_SPACE & (pen[0] | self._pen[0]):
            wanted = (self._pen[0], self._pen[1], pen[2])  # spaces need the background only
        if wanted != self._pen:
            self._output.append(f"\x1b[{_pen_change(self._pen, wanted)}m")
            self._pen = wanted
        is_picture = placeholders.RUN.fullmatch(text)
        self._output.append(placeholders.expanded(text, self._namespace) if is_picture else text)
        self._cursor = (row, column + cell_len(text))


def _parts(text: str, pen: Pen) -> Iterator[tuple[str, Pen]]:
    """A text cut into cells of pictures, which have the pens of their pictures, and what is between them."""
    at = 0
    for found in placeholders.RUN.finditer(text):
        if found.start() > at:
            yield text[at : found.start()], pen
        for slot, characters in itertools.groupby(found[0], placeholders.slot_of):
            yield "".join(characters), placeholders.pen(slot)
        at = found.end()
    if at < len(text):
        yield text[at:], pen


@functools.lru_cache(maxsize=4096)
def _parse_pen(parameters: str) -> Pen:
    """The pen of an SGR sequence that follows a reset, as each of Rich's does."""
    attributes, foreground, background = set[str](), "39", "49"
    numbers = iter(parameters.split(";") if parameters else ["0"])
    for number in numbers:
        if number in ("38", "48"):
            kind = next(numbers, "5")
            values = [next(numbers, "0") for _ in range(3 if kind == "2" else 1)]
            colour = ";".join([number, kind, *values])
            if number == "38":
                foreground = colour
            else:
                background = colour
        elif number in ("0", ""):
            attributes, foreground, background = set(), "39", "49"
        elif 30 <= int(number) <= 39 or 90 <= int(number) <= 97:
            foreground = number
        elif 40 <= int(number) <= 49 or 100 <= int(number) <= 107:
            background = number
        else:
            attributes.add(number)
    return frozenset(attributes), foreground, background


@functools.lru_cache(maxsize=4096)
def _pen_on_space(pen: Pen) -> Pen:
    """The part of a pen that is visible on a space."""
    return pen if pen[0] & _VISIBLE_ON_SPACE else (frozenset(), "", pen[2])


@functools.lru_cache(maxsize=16384)
def _pen_change(before: Pen | None, after: Pen) -> str:
    """The SGR parameters that change one pen into another."""
    if before is None or not before[0] <= after[0]:
        parts = ["0", *sorted(after[0])]
        before = _PLAIN
    else:
        parts = sorted(after[0] - before[0])
    parts += [new for old, new in zip(before[1:], after[1:], strict=True) if old != new]
    return ";".join(parts)
