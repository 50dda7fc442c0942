"""A look at every image of a catalogue: size, shape, whether it can be read, and who is whose copy."""

import dataclasses
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt

from tmssl.data.pack.workers import Stop, map_unordered
from tmssl.data.phash import HASH_SIDE, hash_bits, pack_bits
from tmssl.data.preprocess import FORMATS, UnreadableError, fit_square, load_image_and_shape
from tmssl.data.rng import random_bits
from tmssl.data.sources.location import ImageLocation, read_bytes
from tmssl.types import Indices, Progress

_PER_JOB = 128
_BLANK = 3.0  # standard deviation of grey levels below which an image shows nothing
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SAMPLE = 0x5A11  # what the draw of a sample is for


SEEN = np.dtype(
    [
        ("row", np.int64),
        ("width", np.int32),
        ("height", np.int32),
        ("length", np.int64),
        ("digest", np.uint64),
        ("hash", np.uint64),
        ("format", np.uint8),
        ("blank", np.bool_),
    ]
)


@dataclasses.dataclass(frozen=True)
class Survey:
    """What was seen of the images that were looked at."""

    seen: npt.NDArray[np.void]
    """of dtype SEEN, readable images only, by row of the catalogue; sizes are of the upright image
    in pixels, `length` is of the file in bytes, `format` counts in `picture.FORMATS`"""
    unreadable: dict[int, str]
    """row of the catalogue to reason"""
    total: int
    """images of the catalogue"""

    @property
    def looked_at(self) -> int:
        """Images looked at: all, or a sample."""
        return len(self.seen) + len(self.unreadable)


def sample_rows(total: int, most: int | None) -> Indices:
    """All rows, or `most` of them drawn without repeats, the same ones each time; ascending."""
    if most is None or most >= total:
        return np.arange(total)
    drawn = np.argsort(random_bits(0, 0, _SAMPLE, np.arange(total)), kind="stable")
    return np.sort(drawn[:most]).astype(np.int64)


def survey_images(
    places: Sequence[ImageLocation],
    rows: Indices,
    *,
    workers: int = 0,
    progress: Progress | None = None,
    stop: Stop = None,
) -> Survey:
    """Decode the images of some rows once, in several processes.

    Args:
        places: of all images.
        rows: which of them, ascending.
        workers: processes; 0 is one a core.
        progress: called with (done, total).
        stop: asked between jobs.

    Raises:
        PackError: a process was killed.
        KeyboardInterrupt: `stop` said yes.
    """
    jobs = (
        ([places[row] for row in chosen.tolist()], chosen)
        for chosen in (rows[i : i + _PER_JOB] for i in range(0, len(rows), _PER_JOB))
    )
    together = min(workers or os.cpu_count() or 1, len(rows) // (2 * _PER_JOB)) or 1
    tables, unreadable, done = [np.empty(0, SEEN)], dict[int, str](), 0
    if progress:
        progress(0, len(rows))
    with closing(map_unordered(inspect_images, jobs, together, stop)) as results:
        for table, reasons in results:
            tables.append(table)
            unreadable |= reasons
            done += len(table) + len(reasons)
            if progress:
                progress(done, len(rows))
    seen = np.concatenate(tables)
    return Survey(seen[np.argsort(seen["row"])], unreadable, len(places))


def inspect_images(
    places: list[ImageLocation], rows: Indices
) -> tuple[npt.NDArray[np.void], dict[int, str]]:
    """What is seen of some images, of dtype SEEN, and the reason for each that cannot be read."""
    table = np.empty(len(places), SEEN)
    small = np.empty((len(places), HASH_SIDE, HASH_SIDE), np.float32)
    reasons: dict[int, str] = {}
    count = 0
    for place, row in zip(places, rows.tolist(), strict=True):
        try:
            table[count], small[count] = _facts(row, read_bytes(place))
        except UnreadableError as error:
            reasons[row] = str(error)
        else:
            count += 1
    table, small = table[:count], small[:count]
    table["hash"] = pack_bits(hash_bits(small))
    table["blank"] = small.std(axis=(1, 2)) < _BLANK
    return table, reasons


def _facts(row: int, data: bytes) -> tuple[tuple[object, ...], npt.NDArray[np.float32]]:
    """A row of SEEN but for its hash, and the picture's brightness, (32, 32)."""
    picture, shape = load_image_and_shape(io.BytesIO(data))
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    grey = fit_square(picture, HASH_SIDE).astype(np.float32) @ _LUMA
    kind = FORMATS.index(shape.format)
    return (row, shape.width, shape.height, len(data), digest, 0, kind, False), grey


def groups_of(label: Indices) -> Iterator[Indices]:
    """Rows that share a label, for labels of more than one, the largest group first.

    Args:
        label: (n,).
    """
    order = np.argsort(label, kind="stable")
    begins = np.flatnonzero(np.concatenate([[True], np.diff(label[order]) != 0]))
    groups = [group for group in np.split(order, begins[1:]) if len(group) > 1]
    yield from sorted(groups, key=len, reverse=True)
