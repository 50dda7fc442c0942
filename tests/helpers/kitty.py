"""A terminal that plays kitty: it keeps the pictures that it is sent, and which cells show which part of which."""

import base64
import dataclasses
import io
import re
import unicodedata

from PIL import Image

from tests.helpers.terminal import Grid

_SEQUENCES = re.compile(
    r"\x1bPtmux;(?P<passed>(?:\x1b\x1b|[^\x1b])*)\x1b\\"
    r"|\x1b_(?P<graphics>[^\x1b]*)\x1b\\"
    r"|(?P<cell>\U0010eeee[\u0300-\u06ff]{3})"
    r"|\x1b\[\??(?P<numbers>[0-9;]*)(?P<final>[a-zA-Z])|\x1b\][^\x07]*\x07|\r|\n|\x07"
    r"|(?P<sign>[^\x00-\x1f\U0010eeee][\u0300-\u036f\ufe0f]*)"
)
_FUSED = {
    0x342,
    0x653,
    0x654,
    0x313,
    0x314,
    0x30F,
    0x311,
    *range(0x300, 0x305),
    *range(0x306, 0x30D),
}
DIACRITICS = [
    chr(code)
    for code in range(0x300, 0x660)
    if unicodedata.combining(chr(code)) == 230 and code not in _FUSED
    if not unicodedata.decomposition(chr(code))
]
"""kitty's table by the rule that it names: above the letter, of no other character, and never fused"""


@dataclasses.dataclass(frozen=True)
class Shown:
    """A picture whose upper left cell is at a place, if it were whole."""

    row: int
    column: int
    columns: int
    rows: int
    cells: frozenset[tuple[int, int]]
    """row and column within the picture of the cells that are seen"""
    png: bytes

    @property
    def whole(self) -> bool:
        """Whether every cell is seen."""
        return len(self.cells) == self.columns * self.rows

    @property
    def picture(self) -> Image.Image:
        """What it shows."""
        return Image.open(io.BytesIO(self.png)).convert("RGB")


class KittyGrid(Grid):
    """What kitty shows, by itself or under a tmux that passes its sequences on."""

    sequences = _SEQUENCES

    def __init__(self, *, tmux: bool = False) -> None:
        super().__init__()
        self.pictures: dict[int, bytes] = {}
        self.placements: dict[int, tuple[int, int]] = {}
        """columns and rows of a virtual placement, by the picture's id"""
        self.strays: list[str] = []
        """sequences that are none of these, or would be answered"""
        self.sent: list[int] = []
        """ids in the order in which pictures came"""
        self._tmux = tmux
        self._keys: dict[str, str] = {}
        self._data = ""

    def take(self, found: "re.Match[str]") -> None:
        """Do what a sequence says."""
        if found["cell"]:
            row, column = self._place
            self.cells[row, column] = (found["cell"], tuple(sorted(self._pen.values())))
            self._place = (row, column + 1)
        elif found["passed"] is not None:
            inner = re.fullmatch(
                r"\x1b_([^\x1b]*)\x1b\\", found["passed"].replace("\x1b\x1b", "\x1b")
            )
            if inner is None or not self._tmux:
                self.strays.append(found[0])
            else:
                self._draw(inner[1])
        elif found["graphics"] is not None:
            if self._tmux:  # which takes this for the name of a window
                self.strays.append(found[0])
            else:
                self._draw(found["graphics"])
        else:
            super().take(found)

    def _draw(self, told: str) -> None:
        """Do what a sequence of the graphics protocol says."""
        head, _, data = told.removeprefix("G").partition(";")
        keys = dict(pair.split("=") for pair in head.split(","))
        if not told.startswith("G") or keys.pop("q", "") != "2" or len(data) > 4096:
            self.strays.append(told)
        elif keys.get("a") == "d":
            if set(keys) != {"a", "d", "i"} or keys["d"] != "I":
                self.strays.append(told)
            self.pictures.pop(int(keys["i"]), None)
            self.placements.pop(int(keys["i"]), None)
        else:
            begins = "a" in keys
            if begins == bool(self._keys):
                self.strays.append(told)  # a picture that begins in another, or goes on without
            more = keys.pop("m")
            self._keys, self._data = keys if begins else self._keys, self._data + data
            if more == "0":
                self._place_picture()

    def _place_picture(self) -> None:
        keys, data = self._keys, base64.b64decode(self._data, validate=True)
        self._keys, self._data = {}, ""
        number = int(keys.pop("i"))
        self.placements[number] = int(keys.pop("c")), int(keys.pop("r"))
        if keys != {"a": "T", "U": "1", "f": "100", "t": "d"} or not 0 < number < 2**32:
            self.strays.append(str(keys))
        self.pictures[number] = data
        self.sent.append(number)

    def first_signs(self, row: int) -> str:
        """A row, one character for each cell."""
        return "".join(self.cells.get((row, column), " ")[0][0] for column in range(1, 240))

    def shown(self, size: tuple[int, int]) -> list[Shown]:
        """The pictures of which cells are seen on so many columns and rows, from above and from the left."""
        found: dict[tuple[int, int, int], set[tuple[int, int]]] = {}
        for (y, x), (sign, pen) in sorted(self.cells.items()):
            if sign.startswith("\U0010eeee") and y <= size[1] and x <= size[0]:
                row, column, highest = (DIACRITICS.index(one) for one in sign[1:])
                (colour,) = [one for one in pen if one.startswith("38;")]
                number = highest << 24 | int(colour.removeprefix("38;5;"))
                found.setdefault((y - row, x - column, number), set()).add((row, column))
        pictures = []
        for (row, column, number), cells in sorted(found.items()):
            columns, rows = self.placements[
                number
            ]  # a KeyError: the cells of a picture that is gone
            assert all(0 <= one < rows and 0 <= other < columns for one, other in cells)
            png = self.pictures[number]
            pictures.append(Shown(row, column, columns, rows, frozenset(cells), png))
        return pictures
