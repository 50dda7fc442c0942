"""Marks, and tables of them: lines of JSON that are decoded on access, since objects take much memory."""

import mmap
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.cells import COLUMNS, Row, cell_text
from tmssl.data.vienna import parse_codes
from tmssl.errors import PackError

REBUILD_HINT = "build it again with `tmssl pack SOURCE`"

_VALIDATION_NAMES = frozenset(
    "val valid validation dev eval evaluation test testing query queries holdout".split()
)
_NEWLINE = 10
_SCAN_BYTES = 1 << 24  # searched for newlines together
_DECODED_TOGETHER = 4096  # rows


# Opening a pack reads half a million of these. A struct that the garbage collector does not track
# decodes in a third of a dataclass's time, and defaults are not written.
class Mark(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One image and its labels."""

    path: str
    """relative to the catalogue's root"""
    id: str = ""
    vienna: tuple[str, ...] = ()
    group: str = ""
    split: str = ""
    """`validation` for every name of a held-out split (val, dev, test, query), else as in the table"""
    title: str = ""
    url: str = ""
    extra: dict[str, str] = msgspec.field(default_factory=dict)
    """further columns, unchanged"""


def mark_from_row(row: Row) -> tuple[Mark, tuple[str, ...]]:
    """The mark of a label row, and its codes that do not parse."""
    codes, unparsed = parse_codes(row.get("vienna"))
    known = {name: cell_text(row.get(name)) for name in ("id", "group", "split", "title", "url")}
    if is_held_out(known["split"]):
        known["split"] = "validation"
    extra = {name: cell_text(cell) for name, cell in row.items() if name not in COLUMNS}
    extra = {name: text for name, text in extra.items() if text}
    return Mark(path=row["path"], vienna=codes, extra=extra, **known), unparsed


def is_held_out(split: str) -> bool:
    """Whether a name of a split, such as `val` or `Test`, says that its marks are not trained on."""
    return split.lower() in _VALIDATION_NAMES


class MarkTable(Sequence[Mark]):
    """The marks of a catalogue or of a pack.

    The 538,771 marks of L3D take a fifth of the memory of as many objects. Decoding all takes half a
    second, and finding the ends of the lines a tenth of that.
    """

    def __init__(self, lines: mmap.mmap | bytearray) -> None:
        """Wrap lines of JSON, each ended by a newline.

        Raises:
            ValueError: the last line is cut off.
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
            ValueError: it is empty or its last line is cut off.
        """
        with path.open("rb") as file:
            return MarkTable(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    @staticmethod
    def of(marks: Iterable[Mark]) -> "MarkTable":
        """Encode marks one at a time; none is kept as an object."""
        encoder, lines = msgspec.json.Encoder(), bytearray()
        for mark in marks:
            lines += encoder.encode(mark)
            lines.append(_NEWLINE)
        return MarkTable(lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MarkTable) and self._lines[:] == other._lines[:]

    __hash__ = None  # type: ignore[assignment]  # compared by items, like a list

    @property
    def lines(self) -> memoryview:
        """All lines, as bytes for a file."""
        return memoryview(self._lines)

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Mark]:
        return self._decode(self._decoder)

    def _decode(self, decoder: msgspec.json.Decoder[Any]) -> Iterator[Any]:
        """Every line as decoded by `decoder`, some thousands at a time."""
        begin = 0
        for last in range(
            _DECODED_TOGETHER - 1, len(self) + _DECODED_TOGETHER - 1, _DECODED_TOGETHER
        ):
            end = int(self._ends[min(last, len(self) - 1)]) + 1
            try:
                yield from decoder.decode_lines(self._lines[begin:end])
            except ValueError as error:
                raise PackError(f"the rows of the pack are damaged; {REBUILD_HINT}") from error
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
            raise PackError(f"row {row} of the pack is damaged; {REBUILD_HINT}") from error

    def row_of(self, path: str) -> int | None:
        """The row whose image has this path, or None."""
        wanted = b'{"path":' + msgspec.json.encode(path)
        begin = -1
        while (begin := self._lines.find(wanted, begin + 1)) >= 0:
            if begin == 0 or self._lines[begin - 1] == _NEWLINE:
                return int(np.searchsorted(self._ends, begin))
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
        return list(self._iter_column(name, kind, default))

    def _iter_column(self, name: str, kind: Any, default: Any) -> Iterator[Any]:
        """`column`, one value at a time."""
        row_type = msgspec.defstruct("Row", [(name, kind, default)])
        for row in self._decode(msgspec.json.Decoder(row_type)):
            yield getattr(row, name)

    def codes(self) -> list[tuple[str, ...]]:
        """The Vienna codes of every mark; equal tuples are one object, to save memory.

        Raises:
            PackError: a row is damaged.
        """
        shared: dict[tuple[str, ...], tuple[str, ...]] = {}
        return [
            shared.get(codes) or shared.setdefault(codes, tuple(map(sys.intern, codes)))
            for codes in self._iter_column("vienna", tuple[str, ...], ())
        ]


def _line_ends(lines: mmap.mmap | bytearray) -> npt.NDArray[np.int64]:
    """Offsets of the newlines."""
    data = np.frombuffer(lines, np.uint8) if lines else np.empty(0, np.uint8)
    offsets = [
        np.flatnonzero(data[begin : begin + _SCAN_BYTES] == _NEWLINE) + begin
        for begin in range(0, len(data), _SCAN_BYTES)
    ]
    return np.concatenate([np.empty(0, np.int64), *offsets])
