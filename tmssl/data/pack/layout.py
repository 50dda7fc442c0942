"""The layout of a frame, checked before blosc2 maps it, and a digest of each of its parts.

blosc2 believes the lengths and places that a frame states; where they lie, it divides by zero or reads
beyond the file, which ends the process. So each of them is compared with the file and with what a pack
of its size must have. The format: README_CFRAME_FORMAT and README_CHUNK_FORMAT of C-Blosc2.
"""

import itertools
import os
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import blosc2
import numpy as np

from tmssl.data.pack.frame import COMPRESSION, PER_CHUNK

_HEADER = struct.Struct(">2x8s x i x Q x 4x x q x q x i x i x i x h x h 29x")  # 97 bytes
_CHUNK = struct.Struct("<BBBBiii16s")  # 32 bytes
# Bytes of a header that differ among packs: lengths, the size of a chunk, threads of who wrote it.
_VARYING = ((16, 24), (30, 38), (39, 47), (58, 62), (63, 65), (66, 68))
_MOST_THREADS = 4096
_ZEROS = -(1 << 63) + (1 << 56)  # the place of a chunk of zeros, which takes no room
_COPIED, _SPECIAL = 0x2, 0x70  # flags of chunks that are not compressed, or hold one value alone
# No filter, and the codec LZ4 where anything is compressed; the byte after them is for the flags.
_FILTERS = (bytes(15), bytes(6) + b"\1" + bytes(8))


class LayoutError(Exception):
    """A frame whose bytes contradict each other, the file, or the pack."""


class Layout(NamedTuple):
    """Where the parts of a frame lie."""

    bounds: list[int]
    """places of the header, of each chunk, of the index, and of the end"""
    chunks: dict[int, int]
    """number of a chunk to the part that holds it; a chunk of zeros has none"""


def read_layout(file: int, count: int, size: int, *, strict: bool) -> Layout:
    """The layout of the frame that holds `count` images of `size` px; each length in it is checked.

    Args:
        file: descriptor of the frame.
        count: images.
        size: side of an image in pixels.
        strict: check every byte that blosc2 acts on, where no digest vouches for them.

    Raises:
        LayoutError: it is damaged.
        OSError: it cannot be read.
    """
    length, total = size * size * 3, os.fstat(file).st_size
    header = _part(file, 0, _HEADER.size)
    name, own, end, pixels, packed, item, block, chunk, *threads = _HEADER.unpack(header)
    stated = (name, own, end, pixels, item, block, chunk)
    due = (b"b2frame\0", _HEADER.size, total, count * length, 1, length, PER_CHUNK * length)
    if stated != due or not 0 <= packed <= total - own:
        raise LayoutError("its header contradicts the file")
    if not all(1 <= number <= _MOST_THREADS for number in threads):
        raise LayoutError("its header has no number of threads")
    if strict and _fixed(header) != _fixed(_reference(length)):
        raise LayoutError("its header is not of a pack")
    places = _index(file, own + packed, total, -(-count // PER_CHUNK))
    held = [number for number, place in enumerate(places) if place != _ZEROS]
    bounds = [0, *(own + places[number] for number in held), own + packed, total]
    if (held and bounds[1] != own) or any(b <= a for a, b in itertools.pairwise(bounds[1:])):
        raise LayoutError("its index names places outside the file")
    for part, number in enumerate(held, 1):
        images = min(PER_CHUNK, count - number * PER_CHUNK)
        _check_chunk(file, bounds[part], bounds[part + 1], (images, length), strict=strict)
    return Layout(bounds, {number: part for part, number in enumerate(held, 1)})


def digests(file: int, layout: Layout) -> list[int]:
    """CRC-32 of each part of a frame, from its header to its index, about a second for 2 GB.

    Raises:
        LayoutError: the file is shorter than its layout.
        OSError: it cannot be read.
    """
    return [digest(file, layout, part) for part in range(len(layout.bounds) - 1)]


def digest(file: int, layout: Layout, part: int) -> int:
    """CRC-32 of one part; raises as `digests` does."""
    begin, end = layout.bounds[part : part + 2]
    return zlib.crc32(_part(file, begin, end - begin))


def check_ends(file: int, layout: Layout, known: Sequence[int]) -> None:
    """Compare the digests of the header and of the index with those of the packing.

    Raises:
        LayoutError: the file is another one than was packed.
    """
    last = len(layout.bounds) - 2
    if len(known) != last + 1 or any(digest(file, layout, n) != known[n] for n in (0, last)):
        raise LayoutError("its digests are not those of the packing")


def _part(file: int, begin: int, length: int) -> bytes:
    """Some bytes of a file, which must have them."""
    data = os.pread(file, length, begin)
    while len(data) < length:  # a read gives 2 GiB at most, and less where a signal comes
        more = os.pread(file, length - len(data), begin + len(data))
        if not more:
            raise LayoutError(f"it is truncated: it ends at byte {begin + len(data):,}")
        data += more
    return data


def _reference(length: int) -> bytes:
    """The header of an empty frame of images of `length` bytes, as the present blosc2 writes it."""
    empty = blosc2.SChunk(
        chunksize=PER_CHUNK * length, contiguous=True, cparams=COMPRESSION | {"blocksize": length}
    )
    return bytes(empty.to_cframe()[: _HEADER.size])


def _fixed(header: bytes) -> bytes:
    """The bytes of a header that all frames of one image size share."""
    kept = bytearray(header)
    for begin, end in _VARYING:
        kept[begin:end] = bytes(end - begin)
    return bytes(kept)


def _index(file: int, begin: int, total: int, chunks: int) -> list[int]:
    """The place of each chunk behind the header; `_ZEROS` for one of zeros."""
    if not chunks:
        return []
    head = _part(file, begin, _CHUNK.size)
    *_, item, inside, block, packed, _ = _CHUNK.unpack(head)
    if (item, inside) != (8, 8 * chunks) or not 0 < block <= inside:
        raise LayoutError("its index has another number of chunks")
    if not _CHUNK.size <= packed <= total - begin:
        raise LayoutError("its index leads beyond the file")
    try:
        places = np.frombuffer(blosc2.decompress2(_part(file, begin, packed)), np.int64)
    except (RuntimeError, ValueError) as error:
        raise LayoutError(f"its index cannot be read: {error}") from error
    if len(places) != chunks:
        raise LayoutError("its index has another number of chunks")
    found: list[int] = places.tolist()
    if any(not 0 <= place < total and place != _ZEROS for place in found):
        raise LayoutError("its index names places outside the file")
    return found


def _check_chunk(file: int, begin: int, end: int, of: tuple[int, int], *, strict: bool) -> None:
    """Check the header of a chunk of so many images of so many bytes, and where its blocks begin."""
    images, length = of
    if end - begin < _CHUNK.size:
        raise LayoutError("a chunk is too short")
    head = _part(file, begin, min(end - begin, _CHUNK.size + 4 * images))
    _, _, flags, item, inside, block, packed, rest = _CHUNK.unpack_from(head)
    if (item, inside, block, packed) != (1, images * length, length, end - begin):
        raise LayoutError("a chunk contradicts the index")
    special = rest[15] & _SPECIAL
    if strict and rest[:15] not in _FILTERS:
        raise LayoutError("a chunk asks for filters that no pack has")
    if special:
        fits = packed <= _CHUNK.size + 1
    elif flags & _COPIED:
        fits = packed == _CHUNK.size + inside
    else:
        starts = np.frombuffer(head, np.int32, offset=_CHUNK.size)
        first = _CHUNK.size + 4 * images
        fits = len(starts) == images and bool(((starts >= first) & (starts < packed)).all())
    if not fits:
        raise LayoutError("a chunk names places outside itself")
