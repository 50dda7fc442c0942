"""Reading the images of a finished pack, in any order."""

import csv
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmssl.data.pack.frame import PER_CHUNK, decompress_chunk, open_frame
from tmssl.data.pack.info import PackInfo, open_marks, read_info
from tmssl.data.pack.layout import Layout, LayoutError, check_ends, digest, read_layout
from tmssl.data.sources.marks import REBUILD_HINT, MarkTable
from tmssl.errors import PackError
from tmssl.text import safe
from tmssl.types import Pixels

FRAME_FILE, QUARANTINE_FILE = "images.b2frame", "quarantine.csv"


class Pack:
    """A complete pack, open for reading; several threads may share it."""

    def __init__(
        self, folder: Path, info: PackInfo, marks: MarkTable, frame: tuple[Any, int, Layout]
    ) -> None:
        self.folder = folder
        self.info = info
        self.size = info.size
        self.count = info.count
        self.fingerprint = info.fingerprint
        self.frame_bytes = info.frame_bytes
        self.identity = info.identity
        self.source_root = info.source_root
        self.attribution = info.attribution
        self.marks = marks
        self._frame, self._file, self._layout = frame
        weakref.finalize(self, os.close, self._file)
        self._written = _stamp(self._file)
        self._checked: set[int] = set()  # chunks whose digest was compared
        self._lock = threading.Lock()  # a blosc2 frame has one context for decompression

    @property
    def quarantine(self) -> list[tuple[str, str]]:
        """(path, reason) of every image that could not be read."""
        with (self.folder / QUARANTINE_FILE).open(encoding="utf-8", newline="") as file:
            return [(row["path"], row["reason"]) for row in csv.DictReader(file)]

    def read(
        self, indices: Sequence[int] | npt.NDArray[np.integer[Any]], into: Pixels | None = None
    ) -> Pixels:
        """The images of some rows, uint8 (n, size, size, 3), in any order and with repeats.

        A whole chunk (`PER_CHUNK` consecutive rows from a multiple of it) is read twice as fast, and
        without Python's lock, so that it does not delay the launches of a GPU.

        Args:
            indices: rows.
            into: an array of that type and shape to fill and return, such as pinned memory.

        Raises:
            IndexError: a row is not in this pack.
            PackError: the file is damaged there, or was cut or changed since it was opened.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.count):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a pack of {self.count}")
        shape = len(rows), self.size, self.size, 3
        images = np.empty(shape, dtype=np.uint8) if into is None else into
        try:
            self._check_digests(rows)
            if _is_chunk(rows):
                self._read_chunk(int(rows[0]) // PER_CHUNK, images)
            else:
                self._read_rows(rows.tolist(), images)
        except (RuntimeError, LayoutError, OSError) as error:
            raise _damaged(self.folder, error) from error
        return images

    def compressed(self, number: int) -> bytes:
        """A chunk as it lies in the frame, of PER_CHUNK images or the last ones, to be copied.

        Raises:
            PackError: as `read`.
        """
        try:
            self._check_digests(np.array([number * PER_CHUNK]))
            with self._lock:
                chunk: bytes = self._frame.get_chunk(number)
        except (RuntimeError, LayoutError, OSError) as error:
            raise _damaged(self.folder, error) from error
        return chunk

    def _check_digests(self, rows: npt.NDArray[np.int64]) -> None:
        """Compare the digests of the chunks that some rows are in, each once while the file stays as it is.

        A file that was cut is told before blosc2 reads beyond its end, which would end the process.
        """
        now = _stamp(self._file)
        if now != self._written:
            if now[0] < self.frame_bytes:
                raise LayoutError(
                    f"it is truncated: {now[0]:,} bytes of {self.frame_bytes:,} are left"
                )
            self._written, self._checked = now, set()
        if self.info.digests is None:
            return
        for number in set((rows // PER_CHUNK).tolist()) - self._checked:
            part = self._layout.chunks.get(number, 0)
            if digest(self._file, self._layout, part) != self.info.digests[part]:
                raise LayoutError(f"the digest of its chunk {number} is not that of the packing")
            self._checked.add(number)

    def _read_chunk(self, number: int, images: Pixels) -> None:
        with self._lock:
            chunk = self._frame.get_chunk(number)
        decompress_chunk(chunk, images)

    def _read_rows(self, rows: list[int], images: Pixels) -> None:
        length = self.size * self.size * 3
        with self._lock:
            for i, row in enumerate(rows):
                self._frame.get_slice(row * length, (row + 1) * length, images[i])


def _stamp(file: int) -> tuple[int, int]:
    """Length and time of change of an open file."""
    status = os.fstat(file)
    return status.st_size, status.st_mtime_ns


def _is_chunk(rows: npt.NDArray[np.int64]) -> bool:
    """Whether these are all the rows of one chunk, in order."""
    return len(rows) == PER_CHUNK and rows[0] % PER_CHUNK == 0 and bool((np.diff(rows) == 1).all())


def open_pack(folder: Path, marks: MarkTable | None = None) -> Pack:
    """Open a complete pack.

    Args:
        folder: the pack.
        marks: its marks, where the caller has opened them; otherwise each is decoded once as a check.

    Raises:
        PackError: it is missing, damaged, truncated or of another format.
    """
    info = read_info(folder)
    if marks is None:
        marks = open_marks(folder, info)
        for _ in marks:  # a damaged row raises here and not in the middle of a run
            pass
    return Pack(folder, info, marks, _open_checked(folder, info))


def _open_checked(folder: Path, info: PackInfo) -> tuple[Any, int, Layout]:
    """The frame of a pack, its file and its layout, once all that blosc2 believes of it was checked.

    Raises:
        PackError: it is missing, damaged or truncated.
    """
    try:
        file = os.open(folder / FRAME_FILE, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _damaged(folder, error) from error
    try:
        frame_bytes = os.fstat(file).st_size
        if frame_bytes != info.frame_bytes:
            raise LayoutError(
                f"it is truncated: {FRAME_FILE} has {frame_bytes:,} bytes of {info.frame_bytes:,}"
            )
        layout = read_layout(file, info.count, info.size, strict=info.digests is None)
        if info.digests is not None:
            check_ends(file, layout, info.digests)
        return open_frame(folder / FRAME_FILE), file, layout
    except (OSError, LayoutError) as error:
        os.close(file)
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> PackError:
    """The error of a pack whose frame cannot be used."""
    return PackError(
        f"{safe(folder)} is damaged ({safe(error, 120)}); remove the folder and {REBUILD_HINT}"
    )
