"""Files that viewers read and Pillow refuses: large metadata of a PNG, a JPEG without its end marker."""

import struct
import zlib
from collections.abc import Iterator

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"})
_JPEG = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_RESTARTS = b"".join(b"\x55" * 64 + bytes((0xFF, 0xD0 + i)) for i in range(8))
_FILLINGS = (b"", b"\x55" * 512, b"\xaa" * 512, 2 * _RESTARTS)
_COEFFICIENTS = 64  # of a block
_FRAMES = (0xC0, 0xC1, 0xC2)  # markers of a frame: baseline, extended, progressive
_SCAN, _END = 0xDA, 0xD9


def png_without_metadata(data: bytes) -> bytes:
    """A PNG without its texts and colour profile, which Pillow refuses above 1 MiB; or nothing.

    Only chunks that decide pixels and orientation are kept, so that no other can hinder reading.
    """
    if not data.startswith(_PNG):
        return b""
    kept, position = [_PNG], len(_PNG)
    while position + 8 <= len(data):
        (length,), kind = (
            struct.unpack_from(">I", data, position),
            data[position + 4 : position + 8],
        )
        end = position + 12 + length
        if kind in _PNG_KEPT:
            kept.append(data[position:end])
        position = end
    return b"".join(kept)


def finished_jpegs(data: bytes) -> tuple[bytes, ...]:
    """A JPEG whose end marker is missing, finished in several ways; nothing if a scan is missing.

    The file lacks only its end marker if all of them show the same picture: what is filled in before
    the marker shows where image data was missing. A picture that is truly cut off differs.
    """
    if not data.startswith(_JPEG) or not _has_all_scans(data):
        return ()
    body = data.removesuffix(b"\xff")  # the first half of the marker
    return tuple(body + filling + _JPEG_END for filling in _FILLINGS)


def _has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG give every coefficient of every component in full precision.

    A progressive file that was cut off between two scans is a blurred picture (ITU-T T.81, G.1.1.1).
    """
    missing: dict[int, set[int]] = {}
    for marker, body in _segments(data):
        if marker in _FRAMES and len(body) >= 6:
            missing = {body[i]: set(range(_COEFFICIENTS)) for i in range(6, len(body) - 2, 3)}
        elif marker == _SCAN and body and len(body) >= 4 + 2 * body[0]:
            first, last, precision = body[1 + 2 * body[0] :][:3]
            if precision & 15 == 0:
                for component in body[1 : 1 + 2 * body[0] : 2]:
                    missing.get(component, set()).difference_update(range(first, last + 1))
    return bool(missing) and not any(missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The markers of a JPEG and what each segment holds, up to the end marker or where it is cut off."""
    position = 2
    while (position := data.find(b"\xff", position)) >= 0 and position + 4 <= len(data):
        marker = data[position + 1]
        position += 1
        if marker == _END:
            return
        if marker in (0, 1, 0xFF) or 0xD0 <= marker <= 0xD7:  # stuffed, filling, restart
            continue
        (length,) = struct.unpack_from(">H", data, position + 1)
        yield marker, data[position + 3 : position + 1 + length]
        position += 1 + length


def unpacked(data: bytes, most: int) -> bytes:
    """Bytes that may be packed by gzip, at most `most` of them.

    Raises:
        ValueError: they are damaged, or more.
    """
    if not data.startswith(b"\x1f\x8b"):
        return data
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        text = unpacker.decompress(data, most)
    except zlib.error as error:
        raise ValueError("damaged gzip") from error
    if not unpacker.eof:
        raise ValueError(f"cut off, or above the limit of {most:,} bytes")
    return text
