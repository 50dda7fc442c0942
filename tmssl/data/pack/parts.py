"""Parts of a pack, decoded by all cores; each is complete or absent, so a build can go on."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import blosc2
import numpy as np

from tmssl.data.pack.frame import COMPRESSION
from tmssl.data.pack.workers import spread
from tmssl.data.preprocess import UnreachableError, UnreadableError, picture_square
from tmssl.data.sources.archive import Place, open_image
from tmssl.errors import PackError
from tmssl.files import atomic_path
from tmssl.text import safe
from tmssl.types import Pixels, Progress

PER_PART = 64  # images that a worker has in memory: 12 MiB at 256 px

_ALONE = 512  # fewer images than this are quicker without other processes
_SAMPLED = 32  # images whose packed size stands for all
_RESERVE = 1.25  # of disk, since a sample may be smaller than the rest


def part_name(number: int) -> str:
    """File name of a part."""
    return f"part-{number:06d}.b2"


@contextmanager
def only_builder(building: Path) -> Iterator[None]:
    """Hold the right to build in a folder; whoever holds it loses it by ending, however it ends.

    Raises:
        PackError: another process builds there, or nothing can be written there.
    """
    lock = building.with_name(f"{building.name}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                yield
            finally:
                lock.unlink(missing_ok=True)
    except BlockingIOError:
        raise PackError(
            f"another process is building {safe(building.with_suffix(''))}; "
            "wait until it has finished, then start again"
        ) from None


def check_disk(places: Sequence[Place], building: Path, size: int) -> None:
    """Refuse a build that the disk has no room for, going by a sample of the images.

    The finished parts and the frame made of them are there at once.

    Raises:
        PackError: too little is free.
    """
    there = sum(part.stat().st_size for part in building.glob("part-*"))
    need = int(2 * _RESERVE * _packed_bytes(places, size)) - there
    free = shutil.disk_usage(building).free
    if need > free:
        raise PackError(
            f"packing {len(places):,} images at {size} px takes about {need / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free in {safe(building.parent)}; "
            "set TMSSL_CACHE to a larger disk"
        )


def _packed_bytes(places: Sequence[Place], size: int) -> float:
    """Bytes that the images will take, judged by some that are spread over all of them."""
    chosen = places[:: -(-len(places) // _SAMPLED)]
    lengths = []
    for place in chosen:
        try:
            lengths.append(
                len(blosc2.compress2(picture_square(open_image(place), size), **COMPRESSION))
            )
        except UnreadableError:
            lengths.append(0)
    return sum(lengths) / max(1, len(chosen)) * len(places)


def build_parts(
    places: Sequence[Place],
    building: Path,
    size: int,
    *,
    workers: int,
    progress: Progress | None,
    stop: Callable[[], bool] | None,
) -> dict[int, str]:
    """Write every part that is missing; returns the reason for each image that cannot be read.

    A part's places are only made when it is about to be decoded, so memory stays flat.

    Raises:
        PackError: a worker was killed, or an image cannot be read just now.
        KeyboardInterrupt: `stop` said yes; finished parts stay.
    """
    parts = range(-(-len(places) // PER_PART))
    missing = [number for number in parts if not (building / part_name(number)).is_file()]
    jobs = (
        (places[n * PER_PART : (n + 1) * PER_PART], str(building / part_name(n)), size)
        for n in missing
    )
    left = sum(min(PER_PART, len(places) - number * PER_PART) for number in missing)
    done = len(places) - left
    if progress:
        progress(done, len(places))
    alone = len(missing) * PER_PART <= _ALONE
    together = 1 if alone else min(workers, len(missing))
    with closing(spread(write_part, jobs, together, stop)) as finished:
        for looked_at in finished:
            done += looked_at
            if progress:
                progress(done, len(places))
    return _quarantine(building, parts)


def write_part(places: Sequence[Place], target: str, size: int) -> int:
    """Decode some images into one part; returns how many were looked at.

    The reasons for those that cannot be read are written before the part itself appears.

    Raises:
        PackError: the bytes of one cannot be had just now.
    """
    images, count = np.empty((len(places), size, size, 3), np.uint8), 0
    reasons: dict[int, str] = {}
    for i, place in enumerate(places):
        try:
            images[count] = picture_square(open_image(place), size)
            count += 1
        except UnreachableError as error:  # to leave it out for good would be wrong
            raise PackError(
                f"{safe(place if isinstance(place, str) else place.archive)} was listed and cannot be read: "
                f"{error}; bring it back, make it readable or move it away, then start again"
            ) from error
        except UnreadableError as error:
            reasons[i] = str(error)
    with atomic_path(Path(f"{target}.json")) as fresh:
        fresh.write_bytes(json.dumps(reasons).encode())
    with atomic_path(Path(target)) as fresh:
        fresh.write_bytes(blosc2.pack_array2(images[:count], cparams=COMPRESSION))
    return len(places)


def read_parts(building: Path, count: int) -> Iterator[Pixels]:
    """The images of the parts of `count` places, in order; unreadable ones are not among them."""
    for number in range(-(-count // PER_PART)):
        yield blosc2.unpack_array2((building / part_name(number)).read_bytes())


def _quarantine(building: Path, parts: range) -> dict[int, str]:
    """Row to reason, over all parts."""
    found: dict[int, str] = {}
    for number in parts:
        reasons = json.loads((building / f"{part_name(number)}.json").read_text("utf-8"))
        found.update((number * PER_PART + int(i), reason) for i, reason in reasons.items())
    return found
