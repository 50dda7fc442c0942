"""What a pack says of itself, and its rows read one at a time: all that a search needs of it."""

import hashlib
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np

from tmssl.data.mark import Mark
from tmssl.errors import PackError
from tmssl.text import safe

FORMAT = 1  # raise it when the files, or what picture.py makes of an image, come out differently
FACTS, ROWS = "pack.json", "catalogue.jsonl"
AGAIN = "build it again with `tmssl pack SOURCE`"

_NEWLINE = 10


class Facts(msgspec.Struct, rename={"version": "format"}):
    """What pack.json says; it is written last, so a folder that has it was a whole pack."""

    version: int
    fingerprint: str
    """of the catalogue"""
    size: int
    """side of the images in pixels"""
    count: int
    frame_bytes: int
    source_root: str
    attribution: str


class Rows(Sequence[Mark]):
    """The marks of a pack, each decoded when it is asked for.

    Decoding all of half a million takes seconds, finding where their lines end a tenth of one.
    """

    def __init__(self, path: Path) -> None:
        """Map a file of JSON lines into memory.

        Raises:
            OSError: it cannot be read.
            ValueError: it is empty or ends within a line.
        """
        with path.open("rb") as file:
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if self._bytes[-1] != _NEWLINE:
            raise ValueError("the last row is cut off")
        self._ends = np.flatnonzero(np.frombuffer(self._bytes, np.uint8) == _NEWLINE)
        self._decoder = msgspec.json.Decoder(Mark)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, row: int) -> Mark: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Mark]: ...
    def __getitem__(self, row: int | slice) -> Mark | Sequence[Mark]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        begin = int(self._ends[row - 1]) + 1 if row else 0
        try:
            return self._decoder.decode(self._bytes[begin : int(self._ends[row])])
        except ValueError as error:
            raise PackError(f"row {row} of the pack is damaged; {AGAIN}") from error

    def row_of(self, path: str) -> int | None:
        """The row whose image has this path, or None."""
        wanted = b'{"path":' + msgspec.json.encode(path)
        found = -1
        while (found := self._bytes.find(wanted, found + 1)) >= 0:
            if found == 0 or self._bytes[found - 1] == _NEWLINE:
                return int(np.searchsorted(self._ends, found))
        return None

    def column(self, name: str, kind: Any, default: Any) -> list[Any]:
        """One field of every mark, without decoding the others.

        Args:
            name: a field of `Mark`.
            kind: its type.
            default: its value where a row has none.

        Raises:
            PackError: a row is damaged.
        """
        row = msgspec.defstruct("Row", [(name, kind, default)])
        try:
            decoded = msgspec.json.Decoder(row).decode_lines(memoryview(self._bytes))
        except ValueError as error:
            raise PackError(f"the rows of the pack are damaged; {AGAIN}") from error
        return [getattr(one, name) for one in decoded]


def identity(fingerprint: str, size: int, count: int) -> str:
    """A digest of whose pixels a pack holds and how they were made."""
    return hashlib.sha256(f"{FORMAT} {fingerprint} {size} {count}".encode()).hexdigest()


def read_facts(folder: Path) -> Facts:
    """The facts of a pack.

    Raises:
        PackError: it is missing, foreign or of another format.
    """
    path = folder / FACTS
    if not path.is_file():
        raise PackError(f"there is no pack at {safe(folder)}; {AGAIN}")
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=Facts)
    except (OSError, ValueError) as error:
        raise PackError(f"{safe(folder)} is not a pack ({safe(error, 120)}); {AGAIN}") from error
    if facts.version != FORMAT:
        raise PackError(
            f"{safe(folder)} is a pack of format {facts.version}, not {FORMAT}; remove it and {AGAIN}"
        )
    return facts


def open_rows(folder: Path, facts: Facts) -> Rows:
    """The rows of a pack.

    Raises:
        PackError: they are missing, damaged, or not as many as its facts say.
    """
    try:
        rows = Rows(folder / ROWS)
    except (OSError, ValueError) as error:
        raise PackError(f"{safe(folder)} is not a pack ({safe(error, 120)}); {AGAIN}") from error
    if len(rows) != facts.count:
        raise PackError(
            f"{safe(folder)} is truncated: it has {len(rows):,} rows of {facts.count:,}; remove it and {AGAIN}"
        )
    return rows
