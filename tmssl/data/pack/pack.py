"""The catalogue's pixels, decoded once: one compressed, memory-mapped file read at random."""

import csv
import io
import os
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.pack.facts import FACTS, FORMAT, ROWS, Facts, read_facts
from tmssl.data.pack.frame import decompressed, open_frame, write_frame
from tmssl.data.pack.parts import (
    PER_PART,
    build_parts,
    check_disk,
    only_builder,
    read_parts,
)
from tmssl.data.sources.catalogue import Catalogue
from tmssl.data.sources.marks import AGAIN, MarkTable
from tmssl.errors import PackError
from tmssl.files import atomic_path, is_unfinished
from tmssl.text import count, safe
from tmssl.types import Progress

PER_CHUNK = 256  # images of the frame that lie together

_FRAME, _QUARANTINE = "images.b2frame", "quarantine.csv"
_FILES = (_FRAME, ROWS, FACTS, _QUARANTINE)

Indices = Sequence[int] | npt.NDArray[np.integer[Any]]


class Pack:
    """A complete pack, open for reading, by several threads if need be."""

    def __init__(self, folder: Path, facts: Facts, marks: MarkTable, frame: Any) -> None:
        self.folder = folder
        self.size = facts.size
        self.count = facts.count
        self.fingerprint = facts.fingerprint
        self.frame_bytes = facts.frame_bytes
        self.identity = facts.identity
        self.source_root = facts.source_root
        self.attribution = facts.attribution
        self.marks = marks
        self._frame = frame
        self._reading = threading.Lock()  # a blosc2 frame decompresses in one context

    @property
    def quarantine(self) -> list[tuple[str, str]]:
        """(path, reason) of every image that could not be read."""
        with (self.folder / _QUARANTINE).open(encoding="utf-8", newline="") as file:
            return [(row["path"], row["reason"]) for row in csv.DictReader(file)]

    def read(
        self, indices: Indices, into: npt.NDArray[np.uint8] | None = None
    ) -> npt.NDArray[np.uint8]:
        """The images of some rows, uint8 (n, size, size, 3), in any order and with repeats.

        `PER_CHUNK` rows that follow each other from a multiple of it are read twice as fast, and
        without Python's lock, which a GPU's launches wait for.

        Args:
            indices: rows.
            into: an array of that type and shape to fill and return, such as pinned memory.

        Raises:
            IndexError: a row is not of this pack.
            PackError: the file is damaged there.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.count):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a pack of {self.count}")
        shape = len(rows), self.size, self.size, 3
        images = np.empty(shape, dtype=np.uint8) if into is None else into
        length = self.size * self.size * 3
        try:
            if _is_chunk(rows):
                with self._reading:
                    chunk = self._frame.get_chunk(int(rows[0]) // PER_CHUNK)
                decompressed(chunk, images)
                return images
            with self._reading:
                for i, row in enumerate(rows.tolist()):
                    self._frame.get_slice(row * length, (row + 1) * length, images[i])
        except RuntimeError as error:
            raise PackError(
                f"{safe(self.folder)} is damaged ({safe(error, 120)}); remove the folder and {AGAIN}"
            ) from error
        return images


def _is_chunk(rows: npt.NDArray[np.int64]) -> bool:
    """Whether they are all the rows of one chunk, in order."""
    return len(rows) == PER_CHUNK and rows[0] % PER_CHUNK == 0 and bool((np.diff(rows) == 1).all())


def pack_size(image_size: int) -> int:
    """Side of packed images for views of `image_size`: an eighth more, in steps of 16."""
    return -(-image_size * 8 // (7 * 16)) * 16


def cache_folder() -> Path:
    """Where this user's caches are: $TMSSL_CACHE, or ~/.cache/tmssl."""
    return Path(os.environ.get("TMSSL_CACHE") or Path.home() / ".cache" / "tmssl").resolve()


def pack_folder(catalogue: Catalogue, size: int) -> Path:
    """Where the pack of a catalogue lives in the cache."""
    return cache_folder() / "packs" / f"{catalogue.fingerprint[:16]}-{size}"


def open_pack(folder: Path, marks: MarkTable | None = None) -> Pack:
    """Open a complete pack; `marks` are its rows where they were opened before.

    Raises:
        PackError: it is missing, foreign, of another format, or truncated.
    """
    shown = safe(folder)
    if not (folder / FACTS).is_file():
        raise PackError(f"there is no pack at {shown}; {AGAIN}")
    try:
        facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=Facts)
        marks = _whole_rows(folder / ROWS) if marks is None else marks
    except (OSError, ValueError) as error:
        raise PackError(f"{shown} is not a pack ({safe(error, 120)}); {AGAIN}") from error
    path = folder / _FRAME
    said = (facts.version, facts.frame_bytes, facts.count)
    found = (FORMAT, path.stat().st_size if path.is_file() else 0, len(marks))
    if said != found:
        raise PackError(
            f"{shown} is truncated or of another format: its facts say {said} for format, bytes "
            f"and images, and it has {found}; remove the folder and {AGAIN}"
        )
    try:
        frame = open_frame(path)
    except OSError as error:
        raise PackError(f"{shown} cannot be opened ({safe(error, 120)}); {AGAIN}") from error
    if frame.nbytes != facts.count * facts.size**2 * 3:
        raise PackError(f"{shown} holds {frame.nbytes:,} bytes of pixels, not its images'; {AGAIN}")
    return Pack(folder, facts, marks, frame)


def build_pack(
    catalogue: Catalogue,
    folder: Path,
    size: int,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> Pack:
    """Open the catalogue's pack, building it first when it is not there or for other images.

    An interrupted build leaves its finished parts beside `folder` and goes on from them. A pack that
    is damaged, or of other images, is replaced once the new one is complete.

    Args:
        catalogue: what to pack.
        folder: where the pack goes.
        size: side of the packed images in pixels.
        workers: processes that decode; 0 is one for each core.
        progress: called with (done, total), first with what an earlier build had done.
        stop: asked between parts; when it says yes the build ends with KeyboardInterrupt.

    Raises:
        PackError: no image can be read, the disk is too small, the folder is not a pack, or another
            process is building it.
    """
    building = folder.with_name(f"{folder.name}.building")
    try:
        found = _existing(folder, catalogue, size)
        if found:
            return found
        with only_builder(building):
            found = _existing(folder, catalogue, size)  # built while we waited
            if found:
                return found
            if not _is_of(building, catalogue, size):
                _build(catalogue, building, size, workers or os.cpu_count() or 1, progress, stop)
            _install(building, folder)
    except OSError as error:
        raise PackError(
            f"cannot write {safe(building)}: {safe(error.strerror or error)}; what is finished stays; "
            "make room or set TMSSL_CACHE to another disk, then start again"
        ) from error
    return open_pack(folder)


def _existing(folder: Path, catalogue: Catalogue, size: int) -> Pack | None:
    """The pack in a folder if it is the one wanted; None where one may be built."""
    if not folder.exists():
        return None
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if FACTS in names and _is_of(folder, catalogue, size):
        return _of_its_source(open_pack(folder), catalogue)
    if names - set(_FILES) or (names and FACTS not in names):
        raise PackError(
            f"{safe(folder)} exists and is not a pack; choose another folder, nothing was changed"
        )
    return None


def _of_its_source(pack: Pack, catalogue: Catalogue) -> Pack:
    """The pack with where its images are now and what is said of them, which may have changed since."""
    told = read_facts(pack.folder)
    facts = msgspec.structs.replace(
        told,
        source_root=str(catalogue.root),
        attribution=_first_line(catalogue.holder.attribution()),
    )
    if facts == told:
        return pack
    with atomic_path(pack.folder / FACTS) as fresh:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1))
    return open_pack(pack.folder)


def _is_of(folder: Path, catalogue: Catalogue, size: int) -> bool:
    """Whether a folder holds the whole pack of a catalogue at a size."""
    try:
        pack = open_pack(folder)
    except PackError:
        return False
    return (pack.fingerprint, pack.size) == (catalogue.fingerprint, size)


def _build(
    catalogue: Catalogue,
    building: Path,
    size: int,
    workers: int,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> None:
    """Make a complete pack in the folder to build in, from the parts that an earlier build left."""
    places = catalogue.places
    token = building / "token"
    wanted = f"{FORMAT} {catalogue.fingerprint} {size} {PER_PART}"
    if building.exists() and not (token.is_file() and token.read_text("utf-8") == wanted):
        _check_unfinished(building)
        shutil.rmtree(building)  # parts of other images or of another size
    building.mkdir(parents=True, exist_ok=True)
    with atomic_path(token) as fresh:
        fresh.write_bytes(wanted.encode())
    check_disk(places, building, size)
    quarantine = build_parts(places, building, size, workers=workers, progress=progress, stop=stop)
    kept = MarkTable.of(mark for i, mark in enumerate(catalogue.marks) if i not in quarantine)
    if not len(kept):
        first = min(quarantine)
        raise PackError(
            f"none of {count(len(quarantine), 'image')} can be read, such as "
            f"{safe(catalogue.marks[first].path)}: {quarantine[first]}"
        )
    write_frame(building / _FRAME, read_parts(building, len(places)), size, PER_CHUNK)
    _write_facts(building, catalogue, size, kept, quarantine)


def _check_unfinished(building: Path) -> None:
    """Refuse to remove a folder that holds anything but an unfinished pack.

    Raises:
        PackError: it holds something else.
    """
    for path in building.iterdir():
        ours = path.name in {*_FILES, "token"} or path.name.startswith("part-")
        if path.is_dir() or not (ours or path.suffix == ".new" or is_unfinished(path)):
            raise PackError(
                f"{safe(building)} holds {safe(path.name)}, which is no part of a pack; move it away, "
                "nothing was changed"
            )


def _install(building: Path, folder: Path) -> None:
    """Put a complete pack in its place; a kill in between leaves it where the next start looks."""
    for name in {path.name for path in building.iterdir()} - set(_FILES):
        (building / name).unlink()
    if folder.exists():
        for name in (*set(_FILES) - {FACTS}, FACTS):  # by which a pack is known, last
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
    building.replace(folder)


def _write_facts(
    building: Path, catalogue: Catalogue, size: int, kept: MarkTable, quarantine: dict[int, str]
) -> None:
    """Marks, quarantine and, last, the facts."""
    with atomic_path(building / ROWS) as fresh:
        fresh.write_bytes(kept.lines)
    told = io.StringIO(newline="")
    table = csv.writer(told)
    table.writerow(["path", "reason"])
    table.writerows([catalogue.marks[i].path, quarantine[i]] for i in sorted(quarantine))
    with atomic_path(building / _QUARANTINE) as fresh:
        fresh.write_bytes(told.getvalue().encode())
    facts = Facts(
        version=FORMAT,
        fingerprint=catalogue.fingerprint,
        size=size,
        count=len(kept),
        frame_bytes=(building / _FRAME).stat().st_size,
        source_root=str(catalogue.root),
        attribution=_first_line(catalogue.holder.attribution()),
    )
    with atomic_path(building / FACTS) as fresh:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1))


def _first_line(attribution: str) -> str:
    """The first line of the source's ATTRIBUTION.txt, which goes wherever its images go."""
    lines = attribution.strip().splitlines()
    return lines[0] if lines else ""


def _whole_rows(path: Path) -> MarkTable:
    """The marks of a pack, in the order of its images, of which every one can be read."""
    rows = MarkTable.open(path)
    for _ in rows:
        pass
    return rows
