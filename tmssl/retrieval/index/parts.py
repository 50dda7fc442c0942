"""Parts of a file of vectors that is being made: those of some marks each, kept and checked.

Several processes write parts into one folder beside the file, on several machines if they share it; what
a killed one leaves out is computed by the same command again. A part is a line of JSON, and the bytes
that its vectors take in the file.
"""

import abc
import contextlib
import os
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from msgspec import Meta

from tmssl.data.pack.frame import PER_CHUNK
from tmssl.errors import InputError
from tmssl.files import (
    cannot_write,
    make_plain_folder,
    open_plain,
    shown_path,
    write_atomic,
)
from tmssl.runs.ranges import Count
from tmssl.text import safe

_FORMAT = 1
_MOST_PARTS = 256  # of a small gallery; each is synced to the disk
_MOST_MARKS = 128 * PER_CHUNK  # of a part, with one byte a feature; at 1,280 features 40 MiB
_LONGEST_HEADER = 1 << 10  # bytes
_LEFT_S = 86400.0  # age from which the parts of another file count as left behind


class PartHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a part is of."""

    version: Annotated[int, Meta(ge=_FORMAT, le=_FORMAT)] = _FORMAT
    index: Annotated[str, Meta(max_length=100)]
    """name of the index, which tells encoder and pack, and of what beside it the part is"""
    first: Count
    """row of the first mark"""
    marks: Annotated[int, Meta(ge=1, le=_MOST_MARKS)]
    features: Annotated[int, Meta(ge=1, le=1 << 16)]
    crc32: Annotated[int, Meta(ge=0, lt=1 << 32)]
    """of the vectors"""


class Parts(abc.ABC):
    """The parts of one file.

    Args:
        folder: where they are; its stem names the file.
        marks: in the gallery.
        feature_bytes: of all vectors of a mark together, for each feature of the encoder.
    """

    def __init__(self, folder: Path, marks: int, feature_bytes: int) -> None:
        self.folder = folder
        self.marks = marks
        self._feature_bytes = feature_bytes

    @property
    @abc.abstractmethod
    def joined(self) -> bool:
        """Whether the file that the parts are of is there."""

    @property
    def ranges(self) -> list[range]:
        """The rows of each part, which depend on the number of marks and the bytes of a feature alone.

        Each begins where a chunk of the pack does, and so a batch of the encoder.
        """
        chunks = -(-self.marks // (PER_CHUNK * _MOST_PARTS))
        most = max(_MOST_MARKS // PER_CHUNK // self._feature_bytes, 1)
        size = min(chunks, most) * PER_CHUNK
        return [range(at, min(at + size, self.marks)) for at in range(0, self.marks, size)]

    def absent(self) -> list[range]:
        """The rows of the parts that have no file yet."""
        return [rows for rows in self.ranges if not self._path(rows).exists()]

    def missing(self) -> list[range]:
        """The rows of the parts that are not there or damaged, after reading all of them.

        Raises:
            InputError: a part is of another encoder or pack, or cannot be read.
        """
        return [rows for rows in self.ranges if not self._is_whole(rows)]

    def keep(self, rows: range, codes: bytes, features: int) -> None:
        """Write the part of some rows; it appears complete or not at all.

        Args:
            rows: of `ranges`.
            codes: their vectors as in the file.
            features: of the encoder.

        Raises:
            InputError: the disk is full.
        """
        header = PartHeader(
            index=self.folder.stem,
            first=rows.start,
            marks=len(rows),
            features=features,
            crc32=zlib.crc32(codes),
        )
        try:
            make_plain_folder(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_atomic(self._path(rows), [msgspec.json.encode(header) + b"\n", codes])

    def read(self) -> Iterator[tuple[int, range, bytes]]:
        """The features of the encoder, and the bytes of all marks in order, a chunk of the pack at a time.

        Raises:
            InputError: a part is missing, damaged or of another encoder or pack; what was read of it then
                is not to be used.
        """
        features = 0
        for rows in self.ranges:
            with self._open(rows) as (header, part):
                features = features or header.features
                if header.features != features:
                    raise self._other(rows)
                for chunk, codes in self._chunks(rows, header, part):
                    yield features, chunk, codes

    def remove(self) -> None:
        """Remove the parts, and those of other indexes that nothing was added to for a day."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for other in self.folder.parent.glob("*.parts"):
            if other.name.startswith(self.folder.stem):
                continue  # of files beside this index, whose making may go on
            with contextlib.suppress(OSError):  # gone meanwhile
                if time.time() - other.lstat().st_mtime > _LEFT_S:
                    shutil.rmtree(other, ignore_errors=True)

    def _path(self, rows: range) -> Path:
        return self.folder / f"{rows.start:012}.part"

    def _is_whole(self, rows: range) -> bool:
        """Whether a part is there with the bytes that were written."""
        try:
            with self._open(rows) as (header, part):
                for _ in self._chunks(rows, header, part):
                    pass
        except _UnusablePartError:
            return False
        return True

    def _chunks(
        self, rows: range, header: PartHeader, part: BinaryIO
    ) -> Iterator[tuple[range, bytes]]:
        """The bytes of a part, some rows at a time.

        Raises:
            InputError: they are not those that were written, which is known at the end.
        """
        crc32 = 0
        for begin in range(rows.start, rows.stop, PER_CHUNK):
            chunk = range(begin, min(begin + PER_CHUNK, rows.stop))
            codes = part.read(len(chunk) * self._feature_bytes * header.features)
            crc32 = zlib.crc32(codes, crc32)
            yield chunk, codes
        if crc32 != header.crc32:
            raise self._unusable(rows)

    @contextlib.contextmanager
    def _open(self, rows: range) -> Iterator[tuple[PartHeader, BinaryIO]]:
        """The header of a part, and its file at the first vector.

        Raises:
            InputError: it is missing, damaged, or of another encoder or pack.
        """
        path = self._path(rows)
        try:
            file = os.fdopen(open_plain(path, os.O_RDONLY), "rb")
        except FileNotFoundError as error:
            raise self._unusable(rows, "missing") from error
        except OSError as error:
            raise InputError(
                f"cannot read {shown_path(path)}: {safe(error.strerror)}; remove it"
            ) from error
        with file:
            line = file.readline(_LONGEST_HEADER)
            try:
                header = msgspec.json.decode(line, type=PartHeader)
            except (ValueError, RecursionError) as error:
                raise self._unusable(rows) from error
            told = header.index, header.first, header.marks
            if told != (self.folder.stem, rows.start, len(rows)):
                raise self._other(rows)
            size = len(line) + self._feature_bytes * header.marks * header.features
            if os.fstat(file.fileno()).st_size != size:
                raise self._unusable(rows)
            yield header, file

    def _unusable(self, rows: range, how: str = "damaged") -> "_UnusablePartError":
        return _UnusablePartError(
            f"{shown_path(self._path(rows))} is {how}; the same command computes it again"
        )

    def _other(self, rows: range) -> InputError:
        return InputError(
            f"{shown_path(self._path(rows))} is of another encoder or of other marks; remove "
            f"{shown_path(self.folder)} and try again"
        )


class _UnusablePartError(InputError):
    """A part is missing, or not as it was written."""
