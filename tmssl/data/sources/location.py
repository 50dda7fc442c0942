"""Where the bytes of an image are (a file, or a member of an archive), and reading them."""

import io
import os
import stat
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from tmssl.data.preprocess import UnreadableError, cannot_read
from tmssl.text import safe

_MAX_BYTES = 1 << 28  # of one image
_ZIP_HEADER = struct.Struct("<4s2xHH16xHH")  # of a member: signature, flags, method, two lengths
_ENCRYPTED, _STORED, _DEFLATED = 1, 0, 8


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


ImageLocation = str | Member
"""The path of an image file, or a member of an archive."""


def open_image(location: ImageLocation) -> Path | BinaryIO:
    """An image file or a member of an archive, as `load_image` takes it.

    Raises:
        UnreadableError: the file is a pipe or a device, or the member is damaged, encrypted, too
            large or compressed by an unknown method.
    """
    if isinstance(location, Member):
        return io.BytesIO(read_member(location))
    _check_regular(location)
    return Path(location)


def read_bytes(location: ImageLocation) -> bytes:
    """The bytes of an image file or of a member of an archive.

    Raises:
        UnreadableError: as `open_image`, or the file is gone or above 256 MiB.
    """
    if isinstance(location, Member):
        return read_member(location)
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


def _unzip(archive: int, member: Member) -> bytes:
    """The bytes of a member of a zip, found by its local header."""
    header = os.pread(archive, _ZIP_HEADER.size, member.offset)
    if len(header) < _ZIP_HEADER.size:
        raise UnreadableError("the archive ends before the image does")
    signature, flags, method, name_length, extra_length = _ZIP_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise UnreadableError("the archive has changed or is damaged here")
    if flags & _ENCRYPTED:
        raise UnreadableError("encrypted in the archive")
    begin = member.offset + _ZIP_HEADER.size + name_length + extra_length
    data = os.pread(archive, member.stored, begin)
    if method == _DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size + 1)
        except zlib.error as error:
            raise UnreadableError(f"damaged in the archive ({safe(error, 60)})") from error
    elif method != _STORED:
        raise UnreadableError(f"compressed by method {method}; only stored and deflated are read")
    if len(data) != member.size:
        raise UnreadableError("damaged in the archive: its length differs from the recorded one")
    return data
