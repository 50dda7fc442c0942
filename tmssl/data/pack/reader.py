"""Reading the images of a finished pack, in any order."""

import csv
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmssl.data.pack.frame import PER_CHUNK, decompress_chunk, open_frame
from tmssl.data.pack.info import PackInfo, open_marks, read_info
from tmssl.data.sources.marks import REBUILD_HINT, MarkTable
from tmssl.errors import PackError
from tmssl.text import safe
from tmssl.types import Pixels

FRAME_FILE, QUARANTINE_FILE = "images.b2frame", "quarantine.csv"


class Pack:
    """A complete pack, open for reading; several threads may share it."""

    def __init__(self, folder: Path, info: PackInfo, marks: MarkTable, frame: Any) -> None:
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
        self._frame = frame
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
            PackError: the file is damaged there.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.count):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a pack of {self.count}")
        shape = len(rows), self.size, self.size, 3
        images = np.empty(shape, dtype=np.uint8) if into is None else into
        try:
            if _is_chunk(rows):
                self._read_chunk(int(rows[0]) // PER_CHUNK, images)
            else:
                self._read_rows(rows.tolist(), images)
        except RuntimeError as error:
            raise PackError(
                f"{safe(self.folder)} is damaged ({safe(error, 120)}); "
                f"remove the folder and {REBUILD_HINT}"
            ) from error
        return images

    def _read_chunk(self, number: int, images: Pixels) -> None:
        with self._lock:
            chunk = self._frame.get_chunk(number)
        decompress_chunk(chunk, images)

    def _read_rows(self, rows: list[int], images: Pixels) -> None:
        length = self.size * self.size * 3
        with self._lock:
            for i, row in enumerate(rows):
                self._frame.get_slice(row * length, (row + 1) * length, images[i])


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
    path = folder / FRAME_FILE
    frame_bytes = path.stat().st_size if path.is_file() else 0
    if frame_bytes != info.frame_bytes:
        raise PackError(
            f"{safe(folder)} is truncated: {FRAME_FILE} has {frame_bytes:,} bytes "
            f"of {info.frame_bytes:,}; remove the folder and {REBUILD_HINT}"
        )
    try:
        frame = open_frame(path)
    except OSError as error:
        raise PackError(
            f"{safe(folder)} cannot be opened ({safe(error, 120)}); {REBUILD_HINT}"
        ) from error
    pixel_bytes = info.count * info.size**2 * 3
    if frame.nbytes != pixel_bytes:
        raise PackError(
            f"{safe(folder)} holds {frame.nbytes:,} bytes of pixels and should hold "
            f"{pixel_bytes:,}; {REBUILD_HINT}"
        )
    return Pack(folder, info, marks, frame)
