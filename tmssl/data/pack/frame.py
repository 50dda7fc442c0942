"""The file that holds a pack's pixels: a blosc2 frame of which one image is one block.

256 images to a chunk and LZ4 without a filter: one image is one `get_slice` that decompresses one
block. One image to a chunk would make writing quadratic, and an `NDArray` reads ten times slower.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from tmssl.types import Pixels

COMPRESSION = {"codec": blosc2.Codec.LZ4, "filters": [blosc2.Filter.NOFILTER], "typesize": 1}


def write_frame(path: Path, batches: Iterable[Pixels], size: int, per_chunk: int) -> None:
    """Write batches of images, each uint8 (n, size, size, 3), as one frame and sync it.

    Raises:
        OSError: the disk is full, or refuses in another way.
    """
    length = size * size * 3
    path.unlink(missing_ok=True)
    frame = blosc2.SChunk(
        chunksize=per_chunk * length,
        contiguous=True,
        urlpath=str(path),
        cparams=COMPRESSION | {"blocksize": length},
    )
    try:
        for chunk in _chunks(batches, length, per_chunk):
            frame.append_data(chunk)
    except RuntimeError as error:
        raise OSError(f"{error}, most likely a full disk") from error
    del frame
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _chunks(batches: Iterable[Pixels], length: int, per_chunk: int) -> Iterator[Pixels]:
    """Batches of any size as (per_chunk, length), the last one shorter; each is overwritten by the next."""
    chunk, filled = np.empty((per_chunk, length), dtype=np.uint8), 0
    for batch in batches:
        images = batch.reshape(-1, length)
        while len(images):
            taken = images[: per_chunk - filled]
            chunk[filled : filled + len(taken)] = taken
            filled += len(taken)
            images = images[len(taken) :]
            if filled == per_chunk:
                yield chunk
                filled = 0
    if filled:
        yield chunk[:filled]


def open_frame(path: Path) -> Any:
    """A frame, mapped into memory for `get_slice`.

    Raises:
        OSError: it is not a frame.
    """
    try:
        # An image is one block, which several threads could only wait for.
        return blosc2.open(str(path), mode="r", mmap_mode="r", dparams={"nthreads": 1})
    except (RuntimeError, ValueError) as error:
        raise OSError(str(error)) from error


def decompressed(chunk: bytes, into: Pixels) -> None:
    """The images of a whole chunk, by two threads that do not hold Python's lock.

    Raises:
        RuntimeError: it is damaged.
    """
    before = blosc2.set_releasegil(True)
    try:
        blosc2.decompress2(chunk, dst=into, nthreads=2)
    except ValueError as error:
        raise RuntimeError(str(error)) from error
    finally:
        blosc2.set_releasegil(before)
