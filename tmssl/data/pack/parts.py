"""The parts of a pack that workers decode. A part is complete or absent, so a build can continue."""

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import blosc2
import msgspec
import numpy as np

from tmssl.data.pack.frame import COMPRESSION
from tmssl.data.pack.info import FORMAT
from tmssl.data.pack.workers import Stop, map_unordered
from tmssl.data.picture import (
    UnreachableError,
    UnreadableError,
    load_image_and_shape,
    picture_square,
)
from tmssl.data.preprocess import fit_square
from tmssl.data.sources.location import ImageLocation, file_of, open_image
from tmssl.errors import PackError
from tmssl.files import atomic_path
from tmssl.locks import hold
from tmssl.text import safe
from tmssl.types import Pixels, Progress

PER_PART = 64  # images that a worker has in memory: 12 MiB at 256 px

_SERIAL_BELOW = 512  # images; fewer are decoded faster without other processes
_SAMPLED = 32  # images from which the packed size of all is estimated
_MARGIN = 1.25  # on that estimate
_UNFINISHED = "unfinished"  # among the reasons of a part: the number of such JPEGs


@dataclasses.dataclass(frozen=True)
class BuildOptions:
    """The settings of one build, as `build_pack` describes them."""

    size: int
    workers: int
    progress: Progress | None = None
    stop: Stop = None


class Outcome(NamedTuple):
    """What became of the images of a build."""

    reasons: dict[int, str]
    """row and reason of each image that cannot be read"""
    unfinished: int
    """JPEGs that lack their end marker, and were read all the same"""


def parts_token(fingerprint: str, size: int) -> str:
    """A text that is the same for two builds only if each can use the parts of the other."""
    return f"{FORMAT} {fingerprint} {size} {PER_PART}"


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:06d}.b2"


def is_part_file(path: Path) -> bool:
    """Whether a file is a part, or the reasons beside one."""
    return path.name.startswith("part-")


@contextmanager
def build_lock(building: Path) -> Iterator[None]:
    """Lock the folder `building` for this process; the lock ends with the process at the latest.

    Raises:
        PackError: another process holds it.
        OSError: the lock file cannot be written.
    """
    lock = building.with_name(f"{building.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with hold(lock):
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except BlockingIOError:
        raise PackError(
            f"another process is building {safe(building.with_suffix(''))}; "
            "wait until it has finished, then start again"
        ) from None


def remove_left_lock(building: Path) -> None:
    """Remove the lock of a build that was killed when its pack was complete already."""
    if building.with_name(f"{building.name}.lock").exists():
        with suppress(PackError, OSError), build_lock(building):
            pass


def check_free_space(locations: Sequence[ImageLocation], building: Path, size: int) -> None:
    """Refuse a build for which the disk has too little room, as estimated from some of the images.

    Twice their size is needed, since all parts exist until the frame is complete.

    Raises:
        PackError: too little is free.
    """
    existing = sum(part.stat().st_size for part in building.glob("part-*"))
    needed = int(2 * _MARGIN * estimate_bytes(locations, size)) - existing
    free = shutil.disk_usage(building).free
    if needed > free:
        raise PackError(
            f"packing {len(locations):,} images at {size} px takes about {needed / 2**30:.1f} GiB "
            f"and {free / 2**30:.1f} GiB are free in {safe(building.parent)}; "
            "set TMSSL_CACHE to a larger disk"
        )


def estimate_bytes(locations: Sequence[ImageLocation], size: int) -> float:
    """Bytes that the packed images will take, estimated from some that are spread over all."""
    chosen = locations[:: -(-len(locations) // _SAMPLED)]
    total = 0
    for location in chosen:
        try:
            square = picture_square(open_image(location), size)
        except UnreadableError:
            continue
        total += len(blosc2.compress2(square, **COMPRESSION))
    return total / max(1, len(chosen)) * len(locations)


def build_parts(
    locations: Sequence[ImageLocation], building: Path, options: BuildOptions
) -> Outcome:
    """Write every missing part; returns what cannot be read, over all parts.

    Jobs are made when a worker is about to take them, so memory stays flat.

    Raises:
        PackError: a worker was killed, or an image is unreachable for now.
        KeyboardInterrupt: `options.stop` returned True; finished parts stay.
    """
    parts = range(-(-len(locations) // PER_PART))
    missing = [number for number in parts if not (building / part_name(number)).is_file()]
    jobs = (
        (locations[n * PER_PART : (n + 1) * PER_PART], str(building / part_name(n)), options.size)
        for n in missing
    )
    done = len(locations) - sum(min(PER_PART, len(locations) - n * PER_PART) for n in missing)
    serial = len(missing) * PER_PART <= _SERIAL_BELOW
    workers = 1 if serial else min(options.workers, len(missing))
    progress = options.progress or (lambda _done, _total: None)
    progress(done, len(locations))
    with closing(map_unordered(write_part, jobs, workers, options.stop)) as finished:
        for attempted in finished:
            done += attempted
            progress(done, len(locations))
    return _read_outcome(building, parts)


def write_part(locations: Sequence[ImageLocation], target: str, size: int) -> int:
    """Decode some images into one part; returns how many were attempted.

    The reasons for unreadable ones are written before the part itself appears.

    Raises:
        PackError: an image is unreachable for now.
    """
    images, count = np.empty((len(locations), size, size, 3), np.uint8), 0
    reasons: dict[int | str, str | int] = {}
    unfinished = 0
    for i, location in enumerate(locations):
        try:
            image, shape = load_image_and_shape(open_image(location))
            images[count] = fit_square(image, size)
            unfinished += shape.unfinished
            count += 1
        except UnreachableError as error:  # quarantine would leave it out for good
            raise PackError(
                f"{safe(file_of(location))} was listed and cannot be read: {error}; bring it back, make it "
                "readable or move it away, then start again"
            ) from error
        except UnreadableError as error:
            reasons[i] = str(error)
    if unfinished:
        reasons[_UNFINISHED] = unfinished
    with atomic_path(Path(f"{target}.json")) as fresh:
        fresh.write_bytes(json.dumps(reasons).encode())
    with atomic_path(Path(target)) as fresh:
        fresh.write_bytes(blosc2.pack_array2(images[:count], cparams=COMPRESSION))
    return len(locations)


def read_parts(building: Path, count: int) -> Iterator[Pixels]:
    """The readable images of the parts of `count` locations, in order."""
    for number in range(-(-count // PER_PART)):
        try:
            yield blosc2.unpack_array2((building / part_name(number)).read_bytes())
        except (RuntimeError, ValueError, TypeError) as error:
            raise _damaged_part(building, number) from error


def _damaged_part(building: Path, number: int) -> PackError:
    """The error of a part that is not as it was written."""
    return PackError(
        f"{part_name(number)} of {safe(building)} is damaged; remove that folder and pack again"
    )


def _read_outcome(building: Path, parts: range) -> Outcome:
    """What the parts say of their images."""
    reasons: dict[int, str] = {}
    unfinished = 0
    for number in parts:
        try:
            text = (building / f"{part_name(number)}.json").read_bytes()
            of_part = msgspec.json.decode(text, type=dict[str, str | int])
            unfinished += int(of_part.pop(_UNFINISHED, 0))
            of_rows = {int(i): str(reason) for i, reason in of_part.items()}
        except ValueError as error:
            raise _damaged_part(building, number) from error
        if not all(0 <= i < PER_PART for i in of_rows):
            raise _damaged_part(building, number)
        reasons.update((number * PER_PART + i, reason) for i, reason in of_rows.items())
    return Outcome(reasons, unfinished)
