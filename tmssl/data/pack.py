"""The catalogue's pixels, decoded once: one compressed, memory-mapped file read at random.

A blosc2 frame of 256 images to a chunk and one image to a block, LZ4 without a filter: one image is
one `get_slice` that decompresses one block.
"""

import csv
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import blosc2
import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.building import PER_PART, build_parts, part_name
from tmssl.data.catalogue import Catalogue, Mark
from tmssl.errors import PackError
from tmssl.text import safe

FORMAT = 1
_FRAME, _ROWS, _FACTS, _QUARANTINE = (
    "images.b2frame",
    "catalogue.jsonl",
    "pack.json",
    "quarantine.csv",
)
_BYTES_PER_PIXEL = 0.35  # of disk, three times what LZ4 took on real logos

Progress = Callable[[int, int], None]
Indices = Sequence[int] | npt.NDArray[np.integer[Any]]


class Pack:
    """A complete pack, open for reading."""

    def __init__(self, folder: Path, facts: dict[str, Any], marks: list[Mark], frame: Any) -> None:
        self.folder = folder
        self.size: int = facts["size"]
        self.count: int = facts["count"]
        self.fingerprint: str = facts["fingerprint"]
        self.source_root: str = facts["source_root"]
        self.attribution: str = facts["attribution"]
        self.marks = marks
        self._frame = frame

    @property
    def quarantine(self) -> list[tuple[str, str]]:
        """(path, reason) of every image that could not be read."""
        with (self.folder / _QUARANTINE).open(encoding="utf-8", newline="") as file:
            return [(row["path"], row["reason"]) for row in csv.DictReader(file)]

    def read(self, indices: Indices) -> npt.NDArray[np.uint8]:
        """The images of some rows, uint8 (n, size, size, 3), in any order and with repeats."""
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.count):
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a pack of {self.count}")
        images = np.empty((len(rows), self.size, self.size, 3), dtype=np.uint8)
        length = self.size * self.size * 3
        for i, row in enumerate(rows.tolist()):
            self._frame.get_slice(row * length, (row + 1) * length, images[i])
        return images


def pack_size(image_size: int) -> int:
    """Side of packed images for views of `image_size`: an eighth more, in steps of 16."""
    return -(-image_size * 8 // (7 * 16)) * 16


def pack_folder(catalogue: Catalogue, size: int) -> Path:
    """Where the pack of a catalogue lives: under $TMSSL_CACHE, or ~/.cache/tmssl."""
    root = os.environ.get("TMSSL_CACHE") or Path.home() / ".cache" / "tmssl"
    return Path(root).resolve() / "packs" / f"{catalogue.fingerprint[:16]}-{size}"


def open_pack(folder: Path) -> Pack:
    """Open a complete pack.

    Raises:
        PackError: it is missing, foreign, of another format, or truncated.
    """
    shown, again = safe(folder), "build it again with `tmssl pack SOURCE`"
    if not (folder / _FACTS).is_file():
        raise PackError(f"there is no pack at {shown}; {again}")
    try:
        facts = json.loads((folder / _FACTS).read_text("utf-8"))
        marks = _read_rows(folder / _ROWS)
        found = (facts["format"], facts["frame_bytes"], facts["count"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PackError(f"{shown} is not a pack ({safe(error, 120)}); {again}") from error
    path = folder / _FRAME
    actual = (FORMAT, path.stat().st_size if path.is_file() else 0, len(marks))
    if found != actual:
        raise PackError(
            f"{shown} is truncated or of another format: its facts say {found} for format, bytes "
            f"and images, and it has {actual}; remove the folder and {again}"
        )
    try:
        frame = blosc2.open(str(path), mode="r", mmap_mode="r")
    except (RuntimeError, ValueError, OSError) as error:
        raise PackError(f"{shown} cannot be opened ({safe(error, 120)}); {again}") from error
    if frame.nbytes != facts["count"] * facts["size"] ** 2 * 3:
        raise PackError(f"{shown} holds {frame.nbytes:,} bytes of pixels, not its images'; {again}")
    return Pack(folder, facts, marks, frame)


def build_pack(
    catalogue: Catalogue, folder: Path, size: int, *, workers: int = 0,
    progress: Progress | None = None, stop: Callable[[], bool] | None = None,
) -> Pack:  # fmt: skip
    """Open the catalogue's pack, building it first when it is not there or for other images.

    An interrupted build leaves its finished parts beside `folder` and goes on from them.

    Args:
        catalogue: what to pack.
        folder: where the pack goes.
        size: side of the packed images in pixels.
        workers: processes that decode; 0 is one for each core.
        progress: called with (done, total).
        stop: asked between parts; when it says yes the build ends with KeyboardInterrupt.

    Raises:
        PackError: no image can be read, the disk is too small, or the folder is not a pack.
    """
    if (folder / _FACTS).is_file():
        pack = open_pack(folder)
        if (pack.fingerprint, pack.size) == (catalogue.fingerprint, size):
            return pack
    elif folder.exists() and any(folder.iterdir()):
        raise PackError(f"{safe(folder)} exists and is not a pack; choose another folder")
    fingerprint = catalogue.fingerprint
    building = folder.with_name(f"{folder.name}.building")
    _prepare(building, fingerprint, size, len(catalogue.marks))
    quarantine = build_parts(
        [str(catalogue.root / mark.path) for mark in catalogue.marks], building, size,
        workers=workers or os.cpu_count() or 1, progress=progress, stop=stop,
    )  # fmt: skip
    _assemble(building, catalogue, size, fingerprint, quarantine)
    if folder.exists():
        shutil.rmtree(folder)
    building.replace(folder)
    return open_pack(folder)


def _prepare(building: Path, fingerprint: str, size: int, count: int) -> None:
    """A folder to build in; parts of a build for other images or another size are dropped."""
    token = building / "token"
    wanted = f"{FORMAT} {fingerprint} {size}"
    if building.exists() and not (token.is_file() and token.read_text("utf-8") == wanted):
        shutil.rmtree(building)
    try:
        building.mkdir(parents=True, exist_ok=True)
        token.write_text(wanted, "utf-8")
    except OSError as error:
        raise PackError(
            f"cannot write {safe(building)}: {error.strerror}; set TMSSL_CACHE"
        ) from error
    need = int(count * size * size * _BYTES_PER_PIXEL * 2)  # the parts, then the frame
    free = shutil.disk_usage(building).free
    if need > free:
        raise PackError(
            f"packing {count:,} images at {size} px may take {need / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free in {safe(building)}; set TMSSL_CACHE to a larger disk"
        )


def _assemble(
    building: Path, catalogue: Catalogue, size: int, fingerprint: str, quarantine: dict[int, str]
) -> None:
    """One frame from the parts, the rows that made it, and the facts last."""
    kept = [mark for i, mark in enumerate(catalogue.marks) if i not in quarantine]
    if not kept:
        first = min(quarantine)
        raise PackError(
            f"none of {len(quarantine)} images can be read, such as "
            f"{safe(catalogue.marks[first].path)}: {quarantine[first]}"
        )
    length = size * size * 3
    frame_path = building / _FRAME
    frame_path.unlink(missing_ok=True)
    frame = blosc2.SChunk(
        chunksize=PER_PART * length, contiguous=True, urlpath=str(frame_path),
        cparams={
            "codec": blosc2.Codec.LZ4, "filters": [blosc2.Filter.NOFILTER], "typesize": 1,
            "blocksize": length,
        },
    )  # fmt: skip
    waiting = np.empty((0, length), dtype=np.uint8)
    for number in range(-(-len(catalogue.marks) // PER_PART)):
        images = blosc2.unpack_array2((building / part_name(number)).read_bytes())
        waiting = np.concatenate([waiting, images.reshape(-1, length)])
        if len(waiting) >= PER_PART:
            frame.append_data(np.ascontiguousarray(waiting[:PER_PART]))
            waiting = waiting[PER_PART:]
    if len(waiting):
        frame.append_data(np.ascontiguousarray(waiting))
    del frame
    _write_facts(building, catalogue, size, fingerprint, kept, quarantine)


def _write_facts(
    building: Path, catalogue: Catalogue, size: int, fingerprint: str, kept: list[Mark],
    quarantine: dict[int, str],
) -> None:  # fmt: skip
    """Rows, quarantine and facts; then the parts can go."""
    encoder = msgspec.json.Encoder()
    (building / _ROWS).write_bytes(b"".join(encoder.encode(mark) + b"\n" for mark in kept))
    with (building / _QUARANTINE).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "reason"])
        table.writerows([catalogue.marks[i].path, quarantine[i]] for i in sorted(quarantine))
    facts = {
        "format": FORMAT, "fingerprint": fingerprint, "size": size, "count": len(kept),
        "frame_bytes": (building / _FRAME).stat().st_size,
        "source_root": str(catalogue.root), "attribution": _attribution(catalogue.root),
    }  # fmt: skip
    fresh = building / f"{_FACTS}.new"
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(facts, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(building / _FACTS)
    for part in [*building.glob("part-*"), building / "token"]:
        part.unlink()


def _attribution(root: Path) -> str:
    """The first line of the source's ATTRIBUTION.txt, which goes wherever its images go."""
    path = root / "ATTRIBUTION.txt"
    if not path.is_file():
        return ""
    lines = path.read_text("utf-8", errors="replace").strip().splitlines()
    return lines[0] if lines else ""


def _read_rows(path: Path) -> list[Mark]:
    """The marks of a pack, in the order of its images."""
    decoder = msgspec.json.Decoder(Mark)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]
