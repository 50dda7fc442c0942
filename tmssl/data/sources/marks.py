"""Marks as lines of JSON, each decoded when it is asked for: half a million are large as objects."""

import mmap
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.sources.table import Record, text_of
from tmssl.data.vienna import parse_codes
from tmssl.errors import PackError

_KNOWN = ("path", "id", "vienna", "group", "split", "title", "url")
_HELD_OUT = frozenset(
    [
        "val",
        "valid",
        "validation",
        "dev",
        "eval",
        "evaluation",
        "test",
        "testing",
        "query",
        "queries",
        "holdout",
    ]
)


# Half a million of them are read when a pack is opened: a struct that the garbage collector need
# not follow decodes in a third of a dataclass's time, and defaults need not be written.
class Mark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One image and what is known of it."""

    path: str
    """relative to the catalogue's root"""
    id: str = ""
    vienna: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    """`validation` for whatever a table holds out of training (val, dev, test, query), else as it was"""
    title: str = ""
    url: str = ""
    extra: dict[str, str] = msgspec.field(default_factory=dict)
    """further columns, as they were"""


def mark_of(record: Record) -> tuple[Mark, tuple[str, ...]]:
    """A labelled row as a mark, and its codes that do not parse."""
    codes, bad = parse_codes(record.get("vienna"))
    known = {name: text_of(record.get(name)) for name in ("id", "group", "split", "title", "url")}
    if known["split"].lower() in _HELD_OUT:
        known["split"] = "validation"
    further = {
        name: text
        for name, value in record.items()
        if name not in _KNOWN and (text := text_of(value))
    }
    return Mark(path=record["path"], vienna=codes, extra=further, **known), bad


AGAIN = "build it again with `tmssl pack SOURCE`"

_NEWLINE = 10
_BLOCK = 1 << 24  # bytes that are searched for newlines together
_AT_ONCE = 4096  # rows decoded together where all are asked for


class _Codes(msgspec.Struct):
    """What `MarkTable.codes` reads of a row."""

    vienna: tuple[str, ...] = ()


class MarkTable(Sequence[Mark]):
    """The marks of a catalogue or of a pack.

    L3D's 538,771 take a fifth of the memory of as many objects. Decoding all takes half a second,
    finding where the lines of a file end a tenth of that.
    """

    def __init__(self, lines: mmap.mmap | bytearray) -> None:
        """Take lines of JSON, each ended.

        Raises:
            ValueError: they end within a line.
        """
        if lines and lines[-1] != _NEWLINE:
            raise ValueError("the last row is cut off")
        self._lines = lines
        self._ends = _line_ends(lines)
        self._decoder = msgspec.json.Decoder(Mark)

    @staticmethod
    def open(path: Path) -> "MarkTable":
        """Map a file of lines into memory.

        Raises:
            OSError: it cannot be read.
            ValueError: it is empty or ends within a line.
        """
        with path.open("rb") as file:
            return MarkTable(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    @staticmethod
    def of(marks: Iterable[Mark]) -> "MarkTable":
        """Take marks one at a time; none of them is kept as an object."""
        encoder, lines = msgspec.json.Encoder(), bytearray()
        for mark in marks:
            lines += encoder.encode(mark)
            lines.append(_NEWLINE)
        return MarkTable(lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MarkTable) and self._lines[:] == other._lines[:]

    __hash__ = None  # type: ignore[assignment]  # as of every sequence that is compared by its items

    @property
    def lines(self) -> memoryview:
        """The lines as a file of them holds them."""
        return memoryview(self._lines)

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Mark]:
        return self._decoded(self._decoder)

    def _decoded(self, decoder: msgspec.json.Decoder[Any]) -> Iterator[Any]:
        """What a decoder makes of every line, some thousands at a time."""
        begin = 0
        for last in range(_AT_ONCE - 1, len(self) + _AT_ONCE - 1, _AT_ONCE):
            end = int(self._ends[min(last, len(self) - 1)]) + 1
            try:
                yield from decoder.decode_lines(self._lines[begin:end])
            except ValueError as error:
                raise PackError(f"the rows of the pack are damaged; {AGAIN}") from error
            begin = end

    @overload
    def __getitem__(self, row: int) -> Mark: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Mark]: ...
    def __getitem__(self, row: int | slice) -> Mark | Sequence[Mark]:
        if isinstance(row, slice):
            return [self[i] for i in range(*row.indices(len(self)))]
        row += len(self) if row < 0 else 0
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        begin = int(self._ends[row - 1]) + 1 if row else 0
        try:
            return self._decoder.decode(self._lines[begin : int(self._ends[row])])
        except ValueError as error:
            raise PackError(f"row {row} of the pack is damaged; {AGAIN}") from error

    def row_of(self, path: str) -> int | None:
        """The row whose image has this path, or None."""
        wanted = b'{"path":' + msgspec.json.encode(path)
        found = -1
        while (found := self._lines.find(wanted, found + 1)) >= 0:
            if found == 0 or self._lines[found - 1] == _NEWLINE:
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
        return [getattr(one, name) for one in self._decoded(msgspec.json.Decoder(row))]

    def codes(self) -> list[tuple[str, ...]]:
        """The Vienna codes of every mark; equal ones are one object, so that they take little memory.

        Raises:
            PackError: a row is damaged.
        """
        once: dict[tuple[str, ...], tuple[str, ...]] = {}
        found: list[tuple[str, ...]] = []
        for row in self._decoded(msgspec.json.Decoder(_Codes)):
            codes = once.get(row.vienna)
            if codes is None:
                codes = tuple(map(sys.intern, row.vienna))
                once[codes] = codes
            found.append(codes)
        return found


def _line_ends(lines: mmap.mmap | bytearray) -> npt.NDArray[np.int64]:
    """Where the newlines are."""
    letters = np.frombuffer(lines, np.uint8) if lines else np.empty(0, np.uint8)
    found = [
        np.flatnonzero(letters[begin : begin + _BLOCK] == _NEWLINE) + begin
        for begin in range(0, len(letters), _BLOCK)
    ]
    return np.concatenate([np.empty(0, np.int64), *found])
