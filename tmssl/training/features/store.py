"""Cached features: one float16 file in blocks, each with a digest, so that a build can be interrupted.

A folder `PACK.views-KEY` beside the pack holds them; the key is a digest of all that they depend on. A
block whose digest is missing or wrong is computed again.
"""

import dataclasses
import errno
import hashlib
import json
import mmap
import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tmssl.errors import InputError, TrainingError
from tmssl.files import write_atomic
from tmssl.text import safe
from tmssl.types import Indices, Progress
from tmssl.unfinished import is_unfinished

FORMAT = 1  # raise it when views or features come out differently
BLOCK = 64  # marks: two seconds of a core, which is how long a signal may wait
FEATURES_FILE, DIGESTS_FILE, FACTS_FILE = "features.f16", "digests", "features.json"
FILES = frozenset({FEATURES_FILE, DIGESTS_FILE, FACTS_FILE})

Features = npt.NDArray[np.float16]
_DIGEST_BYTES = 16
_NO_DIGEST = bytes(_DIGEST_BYTES)
_SPARE_BYTES = 64 << 20  # left free for checkpoints and the journal


@dataclasses.dataclass(frozen=True)
class StoreShape:
    """How many features a store holds."""

    marks: int
    views: int
    """of each mark"""
    features: int
    """of each view"""

    @property
    def blocks(self) -> int:
        """Blocks of `BLOCK` marks; the last may be shorter."""
        return -(-self.marks // BLOCK)

    @property
    def bytes(self) -> int:
        """Size of the file of features."""
        return self.marks * self.mark_bytes

    @property
    def mark_bytes(self) -> int:
        """Size of one mark's features."""
        return self.views * self.features * 2

    def block(self, number: int) -> slice:
        """The marks of a block."""
        return slice(number * BLOCK, min((number + 1) * BLOCK, self.marks))


@dataclasses.dataclass(frozen=True)
class Unsound:
    """The blocks of a store that have to be computed."""

    missing: list[int]
    """not computed yet"""
    damaged: list[int]
    """their bytes are not those that were written"""

    @property
    def all(self) -> list[int]:
        """Both kinds, in order."""
        return sorted(self.missing + self.damaged)


def store_key(facts: dict[str, Any]) -> str:
    """A name that two stores share only if all facts are equal; facts are JSON values by name."""
    text = json.dumps({**facts, "format": FORMAT}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FeatureStore:
    """The features of one key, (marks, views, features); complete once no block is unsound."""

    def __init__(self, folder: Path, shape: StoreShape) -> None:
        """A store in an existing folder that `create_store` has made."""
        self.folder = folder
        self.shape = shape
        self._mapped: Features | None = None
        self._file = -1  # descriptor of what is mapped

    def unsound(
        self, progress: Progress | None = None, stop: Callable[[], bool] | None = None
    ) -> Unsound:
        """The blocks that are missing or damaged, after reading all of them.

        Args:
            progress: called with (blocks read, blocks).
            stop: asked between blocks; true ends the look, and the blocks behind count as missing.
        """
        digests = self._digests()
        missing: list[int] = []
        damaged: list[int] = []
        with (self.folder / FEATURES_FILE).open("rb") as file:
            for number in range(self.shape.blocks):
                digest = digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]
                if (stop is not None and stop()) or digest in (_NO_DIGEST, b""):
                    missing.append(number)
                elif digest != _digest(self._read_block(file.fileno(), number)):
                    damaged.append(number)
                if progress is not None:
                    progress(number + 1, self.shape.blocks)
        return Unsound(missing, damaged)

    def written(self) -> set[int]:
        """The blocks that were written, by their digests alone."""
        digests = self._digests()
        return {
            number
            for number in range(self.shape.blocks)
            if digests[number * _DIGEST_BYTES : (number + 1) * _DIGEST_BYTES]
            not in (_NO_DIGEST, b"")
        }

    def write(self, number: int, features: Features) -> None:
        """Write a block (n, views, features), then its digest.

        Raises:
            TrainingError: the disk refuses it; the blocks before it are kept.
        """
        marks = self.shape.block(number)
        assert features.shape == (marks.stop - marks.start, self.shape.views, self.shape.features)
        data = np.ascontiguousarray(features, np.float16).tobytes()
        try:
            _write_at(self.folder / FEATURES_FILE, data, marks.start * self.shape.mark_bytes)
            _write_at(self.folder / DIGESTS_FILE, _digest(data), number * _DIGEST_BYTES)
        except OSError as error:
            raise TrainingError(
                f"cannot write cached views to {safe(self.folder)}: {safe(error.strerror)}; free disk "
                "space and go on with `tmssl train --resume`; finished views are kept"
            ) from error

    def read(self, marks: Indices, views: Indices) -> Features:
        """The features of a view of each mark, (n, features); marks and views are (n,).

        Raises:
            TrainingError: the file was cut meanwhile; to read on would end the process.
        """
        if self._mapped is None:
            self._mapped = self._map()
        if os.fstat(self._file).st_size < self.shape.bytes:
            raise self._truncated()
        return self._mapped[marks, views]

    def _map(self) -> Features:
        """The file as an array; it is read page by page where it is used."""
        self._file = os.open(self.folder / FEATURES_FILE, os.O_RDONLY | os.O_CLOEXEC)
        weakref.finalize(self, os.close, self._file)
        try:
            mapped = mmap.mmap(self._file, self.shape.bytes, access=mmap.ACCESS_READ)
        except ValueError as error:  # the file is shorter
            raise self._truncated() from error
        if hasattr(
            mmap, "MADV_RANDOM"
        ):  # a page fault would read 32 pages, for one view of one mark
            mapped.madvise(mmap.MADV_RANDOM)
        shape = self.shape.marks, self.shape.views, self.shape.features
        return np.frombuffer(mapped, np.float16).reshape(shape)

    def _truncated(self) -> TrainingError:
        """The error of a file that was cut since it was complete."""
        return TrainingError(
            f"the cached views in {safe(self.folder)} are truncated; go on with "
            "`tmssl train --resume`, which computes what is missing"
        )

    def _read_block(self, file: int, number: int) -> bytes:
        """The bytes of a block; fewer where the file is truncated."""
        marks, size = self.shape.block(number), self.shape.mark_bytes
        return os.pread(file, (marks.stop - marks.start) * size, marks.start * size)

    def _digests(self) -> bytes:
        return (self.folder / DIGESTS_FILE).read_bytes()


def create_store(
    folder: Path, shape: StoreShape, facts: dict[str, Any], *, may_lack_space: bool = False
) -> FeatureStore:
    """The store in a folder, which is made if it is missing; what is in it already is kept.

    Args:
        folder: where it is.
        shape: of the features.
        facts: what they depend on, which is written beside them for a person.
        may_lack_space: do not look for room on the disk, as not all of them will be computed.

    Raises:
        OSError: the folder cannot be written.
        InputError: the disk has too little room for what is still missing, or the folder is foreign.
    """
    foreign = [p.name for p in folder.iterdir() if not is_store_file(p)] if folder.exists() else []
    if foreign:
        raise InputError(
            f"{safe(folder)} holds {safe(foreign[0])}, which does not belong to cached views; move it "
            "away, nothing was changed"
        )
    if not may_lack_space:
        check_free_space(folder, shape)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FACTS_FILE).is_file():
        described = {**facts, "format": FORMAT, **dataclasses.asdict(shape)}
        write_atomic(folder / FACTS_FILE, json.dumps(described, indent=1, allow_nan=False).encode())
    for name, size in ((FEATURES_FILE, shape.bytes), (DIGESTS_FILE, shape.blocks * _DIGEST_BYTES)):
        with (folder / name).open("ab") as file:  # keeps what is there
            if file.tell() != size:
                file.truncate(size)
    return FeatureStore(folder, shape)


def is_store(folder: Path) -> bool:
    """Whether a folder has the files of a store."""
    return all((folder / name).is_file() for name in FILES)


def is_store_file(path: Path) -> bool:
    """Whether a file belongs to a store, finished or not."""
    return (
        path.name in FILES
        or path.suffix in (".lock", ".heartbeat", ".users")
        or is_unfinished(path)
    )


def check_free_space(folder: Path, shape: StoreShape) -> None:
    """Refuse a build for which the disk has too little room.

    Raises:
        InputError: too little is free.
    """
    needed = shape.bytes - allocated_bytes(folder)
    parent = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(parent).free
    if needed > 0 and needed + _SPARE_BYTES > free:
        raise InputError(
            f"the cached views of {shape.marks:,} marks take {gib(shape.bytes)} and "
            f"{gib(free)} are free in {safe(folder.parent)}; free disk space, put the pack on a larger "
            "disk (TMSSL_CACHE), or lower cached_views or whiten"
        )


def allocated_bytes(folder: Path) -> int:
    """Disk space that a store takes; holes in an unfinished file take none."""
    sizes = [path.stat().st_blocks * 512 for path in folder.glob("*")] if folder.is_dir() else []
    return sum(sizes)


def gib(size: float) -> str:
    """Bytes as `4.11 GiB`, or `57 MiB` below one."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()


def _write_at(path: Path, data: bytes, offset: int) -> None:
    """Write bytes at an offset.

    Raises:
        OSError: the disk is full.
    """
    file = os.open(path, os.O_WRONLY)
    try:
        while data:
            written = os.pwrite(file, data, offset)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data, offset = data[written:], offset + written
    finally:
        os.close(file)
