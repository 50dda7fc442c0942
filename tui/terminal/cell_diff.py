"""Only cells that change are sent: what the terminal shows already is remembered, as curses does.

Textual sends a line anew when a letter of it has changed, each piece with all of its colours.
"""

import functools
import re

from rich.cells import cell_len

_TOKEN = re.compile(
    r"\x1b\[(?P<pen>[0-9;]*)m|\x1b\[(?P<row>\d+);(?P<column>\d+)H|(?P<line>\n)|(?P<sync>\x1b\[\?2026[hl])"
    r"|(?P<text>[^\x00-\x1f]+)"
)
_SEEN_ON_SPACE = frozenset(
    ["4", "5", "7", "9", "21", "53"]
)  # lines, blinking and reverse show on a space
Pen = tuple[frozenset[str], str, str]
"""attributes, colour and ground, as numbers of SGR"""
_PLAIN: Pen = (frozenset(), "39", "49")


class CellDiff:
    """A stream for a terminal that leaves out what is on it already."""

    def __init__(self) -> None:
        self._signs: dict[int, list[str]] = {}
        self._pens: dict[int, list[Pen | None]] = {}
        self._pen: Pen | None = None
        self._place: tuple[int, int] | None = None
        self._out: list[str] = []

    def forget(self) -> None:
        """Nothing is known of the terminal: its size has changed, or another program has written on it."""
        self._signs, self._pens, self._pen, self._place = {}, {}, None, None

    def kept(self, picture: str) -> str:
        """What of a picture must be sent; it begins with a place, and each of its lines as well."""
        tokens = list(_TOKEN.finditer(picture))
        if sum(len(token[0]) for token in tokens) != len(picture) or "\x1b[" not in picture:
            self.forget()
            return "\x1b[0m" + picture  # not a picture as Textual makes them
        self._out, pen, row, column = [], _PLAIN, 0, 0
        for token in tokens:
            kind = token.lastgroup
            if kind == "pen":
                pen = _read(token["pen"])
            elif kind == "column":
                row, column = int(token["row"]), int(token["column"]) - 1
            elif kind == "line":
                row, column = row + 1, 0
            elif kind == "sync":
                self._out.append(token[0])
            else:
                column = self._write(token[0], pen, row, column)
        empty = all(part.startswith("\x1b[?2026") for part in self._out)
        return "" if empty else "".join(self._out)

    def _write(self, text: str, pen: Pen, row: int, column: int) -> int:
        """A piece of text in one pen; returns the column after it."""
        width = cell_len(text)
        signs, pens = self._signs.setdefault(row, []), self._pens.setdefault(row, [])
        missing = column + width - len(signs)
        if missing > 0:
            signs += [""] * missing
            pens += [None] * missing
        if width != len(text):  # wide signs: as a whole, and never taken for known
            self._send(text, pen, row, column, width)
            signs[column : column + width] = [""] * width
            pens[column : column + width] = [None] * width
            self._place = None
            return column + width
        begin = None
        for place, sign in enumerate(text, column):
            told = _on_space(pen) if sign == " " else pen
            if signs[place] == sign and pens[place] == told:
                if begin is not None:
                    self._send(
                        text[begin - column : place - column], pen, row, begin, place - begin
                    )
                    begin = None
                continue
            signs[place], pens[place] = sign, told
            if begin is None:
                begin = place
        if begin is not None:
            self._send(text[begin - column :], pen, row, begin, column + width - begin)
        return column + width

    def _send(self, text: str, pen: Pen, row: int, column: int, width: int) -> None:
        """Send a piece, with the move and the pen that it needs."""
        if self._place != (row, column):
            same = self._place is not None and self._place[0] == row and self._place[1] < column
            apart = column - self._place[1] if same and self._place else 0
            self._out.append(
                f"\x1b[{apart if apart > 1 else ''}C" if same else f"\x1b[{row};{column + 1}H"
            )
        wanted = pen
        if (
            self._pen is not None
            and not text.strip(" ")
            and not _SEEN_ON_SPACE & (pen[0] | self._pen[0])
        ):
            wanted = (self._pen[0], self._pen[1], pen[2])  # spaces need the ground only
        if wanted != self._pen:
            self._out.append(f"\x1b[{_change(self._pen, wanted)}m")
            self._pen = wanted
        self._out.append(text)
        self._place = (row, column + width)


@functools.lru_cache(maxsize=4096)
def _read(numbers: str) -> Pen:
    """The pen of a sequence that follows a reset, as each of Rich's does."""
    attributes, colour, ground = set[str](), "39", "49"
    told = iter(numbers.split(";") if numbers else ["0"])
    for one in told:
        if one in ("38", "48"):
            kind = next(told, "5")
            rest = [next(told, "0") for _ in range(3 if kind == "2" else 1)]
            whole = ";".join([one, kind, *rest])
            colour, ground = (whole, ground) if one == "38" else (colour, whole)
        elif one in ("0", ""):
            attributes, colour, ground = set(), "39", "49"
        elif 30 <= int(one) <= 39 or 90 <= int(one) <= 97:
            colour = one
        elif 40 <= int(one) <= 49 or 100 <= int(one) <= 107:
            ground = one
        else:
            attributes.add(one)
    return frozenset(attributes), colour, ground


@functools.lru_cache(maxsize=4096)
def _on_space(pen: Pen) -> Pen:
    """What of a pen is seen on a space."""
    return pen if pen[0] & _SEEN_ON_SPACE else (frozenset(), "", pen[2])


@functools.lru_cache(maxsize=16384)
def _change(before: Pen | None, after: Pen) -> str:
    """The numbers that make one pen of another."""
    if before is None or not before[0] <= after[0]:
        parts = ["0", *sorted(after[0])]
        before = _PLAIN
    else:
        parts = sorted(after[0] - before[0])
    parts += [new for old, new in zip(before[1:], after[1:], strict=True) if old != new]
    return ";".join(parts)
