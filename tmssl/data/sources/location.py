"""Where the bytes of an image are (a file, a member of an archive, a row of a shard), and reading them."""

import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tmssl.data.picture import UnreadableError, cannot_read
from tmssl.data.sources.parquet_cell import ParquetCell, read_cell
from tmssl.text import safe

LENGTH_ERROR = "damaged in the archive: its length differs from the recorded one"
CRC_ERROR = "damaged in the archive: its checksum differs from the recorded one"
DEFLATED = 8
"""the method by which most members of a zip are packed"""
_MAX_BYTES = 1 << 28  # of one image
_ZIP_HEADER = struct.Struct("<4s2xHH16xHH")  # of a member: signature, flags, method, two lengths
_ENCRYPTED, _STORED = 1, 0


class Member(NamedTuple):
    """A file inside an archive."""

    archive: str
    offset: int
    """of the bytes in a tar, of the local header in a zip"""
    stored: int
    """bytes in the archive"""
    size: int
    """bytes once unpacked"""
    zipped: bool
    crc: int | None = None
    """the CRC-32 of its bytes, which a zip has recorded and a tar has not"""


ImageLocation = str | Member | ParquetCell
"""The path of an image file, a member of an archive, or a row of a Parquet shard."""


def file_of(location: ImageLocation) -> str:
    """The file that holds an image."""
    if isinstance(location, str):
        return location
    return location.archive if isinstance(location, Member) else location.file


def open_image(location: ImageLocation) -> Path | BinaryIO:
    """An image file, a member of an archive or a row of a shard, as `load_image` takes it.

    Raises:
        UnreadableError: the file is a pipe or a device, the member is damaged, encrypted, too large
            or compressed by an unknown method, or the row is damaged or empty.
    """
    if isinstance(location, Member):
        return io.BytesIO(read_member(location))
    if isinstance(location, ParquetCell):
        return io.BytesIO(read_cell(location))
    _check_regular(location)
    return Path(location)


def read_bytes(location: ImageLocation) -> bytes:
    """The bytes of an image file, of a member of an archive or of a row of a shard.

    Raises:
        UnreadableError: as `open_image`, or the file is gone or above 256 MiB.
    """
    if isinstance(location, Member):
        return read_member(location)
    if isinstance(location, ParquetCell):
        return read_cell(location)
    _check_regular(location)
    try:
        with open(location, "rb") as file:  # noqa: PTH123 - half a million times
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise cannot_read(error) from error
    if len(data) > _MAX_BYTES:
        raise UnreadableError(f"above the limit of {_MAX_BYTES:,} bytes")
    return data


def _check_regular(path: str) -> None:
    """Refuse pipes and devices, from which a read may never return."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - half a million times
    except OSError as error:
        raise cannot_read(error) from error
    if not stat.S_ISREG(mode):
        raise UnreadableError("not a regular file")


def read_member(member: Member) -> bytes:
    """The bytes of a member, read at its offset, so many processes can read one archive.

    Raises:
        UnreadableError: it is damaged, encrypted, too large or compressed by an unknown method.
    """
    if max(member.stored, member.size) > _MAX_BYTES:
        raise UnreadableError(f"{member.size:,} bytes, above the limit of {_MAX_BYTES:,}")
    try:
        archive = os.open(member.archive, os.O_RDONLY)
        try:
            if member.zipped:
                return _unzip(archive, member)
            data = os.pread(archive, member.stored, member.offset)
        finally:
            os.close(archive)
    except OSError as error:
        raise cannot_read(error) from error
    if len(data) < member.stored:
        raise UnreadableError("the archive ends before the image does")
    return data


def read_head(member: Member, most: int) -> bytes:
    """The first bytes of a member; fewer where it is shorter, none where it cannot be read.

    Args:
        member: of an archive.
        most: number of bytes.
    """
    try:
        archive = os.open(member.archive, os.O_RDONLY)
        try:
            begin, method = packed_bytes(archive, member)
            data = os.pread(archive, min(member.stored, most), begin)
        finally:
            os.close(archive)
        if method == DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
    except (OSError, zlib.error, UnreadableError):
        return b""
    return data


def packed_bytes(archive: int, member: Member) -> tuple[int, int]:
    """Where the bytes of a member begin, and by which method of a zip they are packed; 0 is not at all.

    Args:
        archive: its descriptor.
        member: of it.

    Raises:
        OSError: the archive cannot be read.
        UnreadableError: the member is damaged, encrypted, or packed by an unknown method.
    """
    if not member.zipped:
        return member.offset, _STORED
    header = os.pread(archive, _ZIP_HEADER.size, member.offset)
    if len(header) < _ZIP_HEADER.size:
        raise UnreadableError("the archive ends before the image does")
    signature, flags, method, name_length, extra_length = _ZIP_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise UnreadableError("the archive has changed or is damaged here")
    if flags & _ENCRYPTED:
        raise UnreadableError("encrypted in the archive")
    if method not in (_STORED, DEFLATED):
        raise UnreadableError(f"compressed by method {method}; only stored and deflated are read")
    return member.offset + _ZIP_HEADER.size + name_length + extra_length, method


def _unzip(archive: int, member: Member) -> bytes:
    """The bytes of a member of a zip, found by its local header."""
    begin, method = packed_bytes(archive, member)
    data = os.pread(archive, member.stored, begin)
    if method == DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise UnreadableError(f"damaged in the archive ({safe(error, 60)})") from error
    if len(data) != member.size:
        raise UnreadableError(LENGTH_ERROR)
    if member.crc not in (None, zlib.crc32(data)):
        raise UnreadableError(CRC_ERROR)
    return data
