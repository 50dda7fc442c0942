"""The pictures in pixels that the screens show: what a private character stands for, for the driver to send."""

import collections
import dataclasses
import hashlib
import io
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.pictures import placeholders

if TYPE_CHECKING:
    from tmssl.types import Pixels

_CELL = (10, 20)  # pixels of a cell: a common size, and the terminal scales what differs
_COLOURS = 32  # of a palette: a mark has few


@dataclasses.dataclass(frozen=True, eq=False)
class Placed:
    """A picture in pixels and the cells that it fills; two of them are never equal."""

    png: bytes
    columns: int
    rows: int


class PixelPictures:
    """Pictures by slot; threads that draw add to it, the driver reads it.

    A slot is given to another picture when as many as there are slots came after it: some pages later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: collections.OrderedDict[bytes, int] = collections.OrderedDict()
        self._placed: dict[int, Placed] = {}

    def lines(self, pictures: "Iterable[Pixels]", columns: int, rows: int) -> list[list[str]]:
        """Pictures as `rows` lines of `columns` private characters.

        Args:
            pictures: each uint8 (h, w, 3).
            columns: width in cells, at most `placeholders.COLUMNS`.
            rows: height in cells, at most `placeholders.ROWS`.
        """
        return [
            placeholders.cells(self._slot(one, columns, rows), columns, rows) for one in pictures
        ]

    def placed(self, slot: int) -> Placed | None:
        """The picture of a slot, if there is one."""
        return self._placed.get(slot)

    def _slot(self, pixels: "Pixels", columns: int, rows: int) -> int:
        """The slot of a picture in this size: the one that it has, a free one, or that of the oldest."""
        shape = repr((pixels.shape, columns, rows)).encode()
        name = hashlib.blake2b(pixels.tobytes() + shape, digest_size=16).digest()
        with self._lock:
            if name in self._slots:
                self._slots.move_to_end(name)
                return self._slots[name]
        placed = Placed(_png(pixels, columns, rows), columns, rows)
        with self._lock:
            if name not in self._slots:
                full = len(self._slots) == placeholders.SLOTS
                slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
                self._slots[name], self._placed[slot] = slot, placed
            return self._slots[name]


def fits(columns: int, rows: int) -> bool:
    """Whether a picture of so many cells can be placed."""
    return 0 < columns <= placeholders.COLUMNS and 0 < rows <= placeholders.ROWS


def _png(pixels: "Pixels", columns: int, rows: int) -> bytes:
    """A picture, fitted undistorted on white, as a PNG with a palette."""
    from PIL import Image

    from tui.pictures.mosaic import fit

    size = columns * _CELL[0], rows * _CELL[1]
    fitted = fit(pixels, (columns, 2 * rows), size)
    few = fitted.quantize(_COLOURS, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG")
    return file.getvalue()
