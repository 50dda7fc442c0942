"""Parts of an index that is being made: the vectors of some marks each, checked and joined into one file.

Several processes write parts into one folder beside the index, on several machines if they share it; what
a killed one leaves out is computed by the same command again. A part is a line of JSON, and the vectors
in half precision as faiss keeps them.
"""

import contextlib
import dataclasses
import os
import shutil
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import faiss
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
from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.index.faiss_index import build_index, empty_index, new_index
from tmssl.runs.ranges import Count
from tmssl.text import safe
from tmssl.types import Vectors

_FORMAT = 1
_MOST_PARTS = 256  # of a small gallery; each is synced to the disk
_MOST_MARKS = 64 * PER_CHUNK  # of a part; with 1,280 features 40 MiB, and seconds of a GPU
_LONGEST_HEADER = 1 << 10  # bytes
_BLOCK = 1 << 22  # bytes that are read together
_SIZE = struct.Struct("<Q")
_LEFT_S = 86400.0  # age from which the parts of another index count as left behind


class PartHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a part is of."""

    version: Annotated[int, Meta(ge=_FORMAT, le=_FORMAT)] = _FORMAT
    index: Annotated[str, Meta(max_length=100)]
    """name of the index, which tells encoder and pack"""
    first: Count
    """row of the first mark"""
    marks: Annotated[int, Meta(ge=1, le=_MOST_MARKS)]
    features: Annotated[int, Meta(ge=1, le=1 << 16)]
    crc32: Annotated[int, Meta(ge=0, lt=1 << 32)]
    """of the vectors"""


@dataclasses.dataclass(frozen=True)
class IndexParts:
    """The parts of one index."""

    index: Path
    """file of the index"""
    marks: int
    """in the gallery"""

    @property
    def folder(self) -> Path:
        """Where the parts are."""
        return self.index.with_suffix(".parts")

    @property
    def ranges(self) -> list[range]:
        """The rows of each part, which depend on the number of marks alone.

        Each begins where a chunk of the pack does, and so a batch of the encoder.
        """
        chunks = -(-self.marks // (PER_CHUNK * _MOST_PARTS))
        size = min(chunks * PER_CHUNK, _MOST_MARKS)
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

    def write(self, rows: range, vectors: Vectors) -> None:
        """Write the part of some rows; it appears complete or not at all.

        Args:
            rows: of `ranges`.
            vectors: float32 (marks, features), rows of norm 1.

        Raises:
            InputError: the disk is full.
        """
        index = build_index(vectors)  # its vectors are gone when it is
        codes = half_vectors(index).numpy().tobytes()
        header = PartHeader(
            index=self.index.stem,
            first=rows.start,
            marks=len(rows),
            features=vectors.shape[1],
            crc32=zlib.crc32(codes),
        )
        try:
            make_plain_folder(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        write_atomic(self._path(rows), [msgspec.json.encode(header) + b"\n", codes])

    def join(self) -> None:
        """Write the index of all parts, byte for byte what faiss writes of one made at once.

        Raises:
            InputError: a part is missing, damaged or of another encoder or pack, or the disk is full.
        """
        with new_index(self.index) as fresh, fresh.open("wb") as file:
            features = 0
            for rows in self.ranges:
                with self._open(rows) as (header, part):
                    if not features:
                        features = header.features
                        file.write(_head(features, self.marks))
                    if header.features != features:
                        raise self._other(rows)
                    if _copied_crc32(part, file) != header.crc32:
                        raise self._unusable(rows)

    def remove(self) -> None:
        """Remove the parts, and those of other indexes that nothing was added to for a day."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for other in self.folder.parent.glob("*.parts"):
            with contextlib.suppress(OSError):  # gone meanwhile
                if time.time() - other.lstat().st_mtime > _LEFT_S:
                    shutil.rmtree(other, ignore_errors=True)

    def _path(self, rows: range) -> Path:
        return self.folder / f"{rows.start:012}.part"

    def _is_whole(self, rows: range) -> bool:
        """Whether a part is there with the bytes that were written."""
        try:
            with self._open(rows) as (header, part):
                return _copied_crc32(part) == header.crc32
        except _UnusablePartError:
            return False

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
            if told != (self.index.stem, rows.start, len(rows)):
                raise self._other(rows)
            size = len(line) + 2 * header.marks * header.features
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


def _copied_crc32(source: BinaryIO, target: BinaryIO | None = None) -> int:
    """The CRC-32 of the rest of a file, which is copied to another if one is given."""
    crc32 = 0
    while block := source.read(_BLOCK):
        crc32 = zlib.crc32(block, crc32)
        if target is not None:
            target.write(block)
    return crc32


def _head(features: int, marks: int) -> bytes:
    """What faiss writes of an index in half precision before its vectors.

    The number of vectors is behind kind and width, and the number of their bytes comes last.
    """
    writer = faiss.VectorIOWriter()
    faiss.write_index(empty_index(features), writer)
    empty = faiss.vector_to_array(writer.data).tobytes()
    at, size = struct.calcsize("<4si"), _SIZE.size
    head = empty[:at] + _SIZE.pack(marks) + empty[at + size : -size]
    return head + _SIZE.pack(2 * features * marks)
