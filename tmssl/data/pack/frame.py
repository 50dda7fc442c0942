"""The file of a pack's pixels: a blosc2 frame in which one image is one block.

A chunk holds 256 images, compressed by LZ4 without a filter, and one `get_slice` decompresses one
image. With one image a chunk, writing would be quadratic; an `NDArray` reads ten times slower.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import blosc2
import numpy as np

from tmssl.files import sync, unicode_path
from tmssl.types import Pixels

PER_CHUNK = 256  # images
COMPRESSION = {"codec": blosc2.Codec.LZ4, "filters": [blosc2.Filter.NOFILTER], "typesize": 1}


def write_frame(
    path: Path, batches: Iterable[Pixels], size: int, whole: Iterable[bytes] = ()
) -> None:
    """Write batches of images, each uint8 (n, size, size, 3), as one frame and sync it.

    Args:
        path: the file.
        batches: images, in order.
        size: side of an image in pixels.
        whole: compressed chunks of another frame, of PER_CHUNK images each, that come first.

    Raises:
        OSError: the disk is full or fails.
    """
    length = size * size * 3
    path.unlink(missing_ok=True)
    try:
        with unicode_path(path) as name:
            frame = blosc2.SChunk(
                chunksize=PER_CHUNK * length,
                contiguous=True,
                urlpath=name,
                cparams=COMPRESSION | {"blocksize": length},
            )
            for compressed in whole:
                frame.insert_chunk(frame.nchunks, compressed)
            for chunk in _chunks(batches, length):
                frame.append_data(chunk)
            del frame
    except RuntimeError as error:
        raise OSError(f"{error}, most likely a full disk") from error
    sync(path)


def _chunks(batches: Iterable[Pixels], length: int) -> Iterator[Pixels]:
    """Batches of any size as (PER_CHUNK, length), the last one shorter; all share one buffer."""
    chunk, filled = np.empty((PER_CHUNK, length), dtype=np.uint8), 0
    for batch in batches:
        images = batch.reshape(-1, length)
        while len(images):
            head = images[: PER_CHUNK - filled]
            chunk[filled : filled + len(head)] = head
            filled += len(head)
            images = images[len(head) :]
            if filled == PER_CHUNK:
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
        # One thread: an image is one block, which further threads could only wait for.
        with unicode_path(path) as name:
            return blosc2.open(name, mode="r", mmap_mode="r", dparams={"nthreads": 1})
    except (RuntimeError, ValueError) as error:
        raise OSError(str(error)) from error


def decompress_chunk(chunk: bytes, into: Pixels) -> None:
    """Decompress a whole chunk by two threads that do not hold Python's lock.

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
