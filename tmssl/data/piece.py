"""Where the members of an archive lie, by name: half a million of them in columns of numbers."""

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Piece(NamedTuple):
    """Where the bytes of one member are."""

    archive: str
    offset: int
    """of the bytes in a tar, of the local header in a zip"""
    length: int
    """bytes as they lie there"""
    size: int
    """bytes once unpacked"""
    zipped: bool


class Pieces:
    """Name to piece, for an eighth of the memory that a dictionary of pieces takes."""

    def __init__(self, archive: Path, *, zipped: bool) -> None:
        self._archive, self._zipped = str(archive), zipped
        self._rows: dict[str, int] = {}
        self._numbers = array("q")  # offset, length and size of each

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, name: str) -> Piece:
        row = 3 * self._rows[name]
        offset, length, size = self._numbers[row : row + 3]
        return Piece(self._archive, offset, length, size, self._zipped)

    def add(self, name: str, offset: int, length: int, size: int) -> None:
        """Say where a member is; the last of a name counts, as when an archive is unpacked."""
        self._rows[name] = len(self._numbers) // 3
        self._numbers.extend((offset, length, size))
