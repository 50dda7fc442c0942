"""Reading every image of a catalogue once for its size, format, digest and perceptual hash."""

import dataclasses
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt

from tmssl.data.formats import FORMATS
from tmssl.data.pack.workers import map_unordered
from tmssl.data.phash import HASH_SIDE, hash_bits, pack_bits
from tmssl.data.picture import UnreadableError, load_image_and_shape
from tmssl.data.preprocess import fit_square
from tmssl.data.rng import random_bits
from tmssl.data.sources.location import ImageLocation, read_bytes
from tmssl.doctor.machine import worker_count
from tmssl.types import Indices, Progress

_PER_JOB = 128
_BLANK = 3.0  # standard deviation of grey levels below which an image shows nothing
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_SAMPLE = 0x5A11  # key of the draw of a sample

IMAGE_FACTS = np.dtype(
    [
        ("row", np.int64),
        ("width", np.int32),
        ("height", np.int32),
        ("length", np.int64),
        ("digest", np.uint64),
        ("hash", np.uint64),
        ("format", np.uint8),
        ("blank", np.bool_),
        ("unfinished", np.bool_),
    ]
)


@dataclasses.dataclass(frozen=True)
class Survey:
    """Facts about the images that were read."""

    images: npt.NDArray[np.void]
    """dtype IMAGE_FACTS, readable images only, by row of the catalogue; width and height are of the
    upright image in pixels, `length` is bytes of the file, `format` is an index into FORMATS"""
    unreadable: dict[int, str]
    """row of the catalogue and reason"""
    total: int
    """images of the catalogue"""

    @property
    def looked_at(self) -> int:
        """Number of images that were tried: all, or a sample."""
        return len(self.images) + len(self.unreadable)


def sample_rows(total: int, most: int | None) -> Indices:
    """All rows, or `most` of them drawn at random, the same ones each time; ascending."""
    if most is None or most >= total:
        return np.arange(total)
    drawn = np.argsort(random_bits(0, 0, _SAMPLE, np.arange(total)), kind="stable")
    return np.sort(drawn[:most]).astype(np.int64)


def survey_images(
    locations: Sequence[ImageLocation],
    rows: Indices,
    *,
    workers: int = 0,
    progress: Progress | None = None,
) -> Survey:
    """Decode the images of some rows once, in several processes.

    Args:
        locations: of all images.
        rows: which of them, ascending.
        workers: processes; 0 means one for each usable core.
        progress: called with (done, total).

    Raises:
        PackError: a process was killed.
    """
    jobs = (
        ([locations[row] for row in chosen.tolist()], chosen)
        for chosen in (rows[i : i + _PER_JOB] for i in range(0, len(rows), _PER_JOB))
    )
    processes = min(workers or worker_count(), len(rows) // (2 * _PER_JOB)) or 1
    tables, unreadable, done = [np.empty(0, IMAGE_FACTS)], dict[int, str](), 0
    if progress:
        progress(0, len(rows))
    with closing(map_unordered(inspect_images, jobs, processes)) as results:
        for table, reasons in results:
            tables.append(table)
            unreadable |= reasons
            done += len(table) + len(reasons)
            if progress:
                progress(done, len(rows))
    images = np.concatenate(tables)
    return Survey(images[np.argsort(images["row"])], unreadable, len(locations))


def inspect_images(
    locations: list[ImageLocation], rows: Indices
) -> tuple[npt.NDArray[np.void], dict[int, str]]:
    """Facts about some images, of dtype IMAGE_FACTS, and row and reason of each unreadable one."""
    table = np.empty(len(locations), IMAGE_FACTS)
    small = np.empty((len(locations), HASH_SIDE, HASH_SIDE), np.float32)
    reasons: dict[int, str] = {}
    count = 0
    for location, row in zip(locations, rows.tolist(), strict=True):
        try:
            table[count], small[count] = _facts(row, read_bytes(location))
        except UnreadableError as error:
            reasons[row] = str(error)
        else:
            count += 1
    table, small = table[:count], small[:count]
    table["hash"] = pack_bits(hash_bits(small))
    table["blank"] = small.std(axis=(1, 2)) < _BLANK
    return table, reasons


def _facts(row: int, data: bytes) -> tuple[tuple[object, ...], npt.NDArray[np.float32]]:
    """A row of IMAGE_FACTS with its hash and `blank` still unset, and the brightness, (32, 32)."""
    image, shape = load_image_and_shape(io.BytesIO(data))
    digest = int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")
    grey = fit_square(image, HASH_SIDE).astype(np.float32) @ _LUMA
    file_format = FORMATS.index(shape.format)
    return (
        row,
        shape.width,
        shape.height,
        len(data),
        digest,
        0,
        file_format,
        False,
        shape.unfinished,
    ), grey


def groups_of(label: Indices) -> Iterator[Indices]:
    """The rows of each label that has several, the largest group first.

    Args:
        label: (n,).
    """
    order = np.argsort(label, kind="stable")
    begins = np.flatnonzero(np.concatenate([[True], np.diff(label[order]) != 0]))
    groups = [group for group in np.split(order, begins[1:]) if len(group) > 1]
    yield from sorted(groups, key=len, reverse=True)
