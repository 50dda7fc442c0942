"""A member of an archive as a file: unpacked as it is read, and checked against what was recorded of it."""

import io
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.data.picture import UnreadableError
from tmssl.data.sources.location import CRC_ERROR, DEFLATED, LENGTH_ERROR, Member, packed_bytes
from tmssl.data.tables.limits import why_bomb
from tmssl.text import safe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK = 1 << 16  # bytes unpacked at once


def open_member(member: Member) -> io.BufferedReader:
    """Open a member, to be read in little memory however large it is.

    Reading raises UnreadableError where the member is damaged.

    Raises:
        OSError: the archive cannot be read.
        UnreadableError: it is encrypted, compressed by an unknown method, or a bomb.
    """
    if reason := why_bomb(member.size, member.stored):
        raise UnreadableError(reason)
    archive = Path(member.archive).open("rb", buffering=0)  # noqa: SIM115 - the stream closes it
    try:
        begin, method = packed_bytes(archive.fileno(), member)
    except UnreadableError:
        archive.close()
        raise
    return io.BufferedReader(_MemberStream(member, archive, begin, method == DEFLATED))


class _MemberStream(io.RawIOBase):
    """The bytes of a member."""

    def __init__(self, member: Member, archive: io.FileIO, begin: int, is_deflated: bool) -> None:
        self._member, self._archive = member, archive
        self._begin, self._is_deflated = begin, is_deflated
        self._wanted = 0
        self._restart()

    def _restart(self) -> None:
        """Go back to the first byte."""
        self._position = self._fed = self._crc = self._summed = 0
        self._unpacker = zlib.decompressobj(-zlib.MAX_WBITS)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is; a step back in a deflated member unpacks it anew."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a byte; it costs nothing until something is read there."""
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._wanted, os.SEEK_END: self._member.size}
        self._wanted = max(0, bases[whence] + offset)
        return self._wanted

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Read the next bytes into a buffer.

        Raises:
            OSError: the archive cannot be read.
            UnreadableError: the member is damaged.
        """
        view = memoryview(buffer).cast("B")
        self._reach(self._wanted)
        data = self._read(len(view))
        view[: len(data)] = data
        self._wanted += len(data)
        return len(data)

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        super().close()

    def _reach(self, offset: int) -> None:
        """Move to where the next read begins."""
        if not self._is_deflated:
            self._position = offset
        elif offset < self._position:
            self._restart()
        while self._position < offset and self._read(min(_BLOCK, offset - self._position)):
            pass

    def _read(self, most: int) -> bytes:
        """At most so many bytes, checked; none at the end."""
        if self._is_deflated:
            data = self._inflate(most)
        else:
            left = max(0, self._member.size - self._position)
            data = os.pread(self._archive.fileno(), min(most, left), self._begin + self._position)
        if most and not data and self._position < self._member.size:
            raise UnreadableError(LENGTH_ERROR)
        if self._summed == self._position:
            self._crc = zlib.crc32(data, self._crc)
            self._summed += len(data)
        self._position += len(data)
        self._check()
        return data

    def _inflate(self, most: int) -> bytes:
        """At most so many bytes of a deflated member; none at the end."""
        unpacker = self._unpacker
        try:
            while most and not unpacker.eof:
                packed = unpacker.unconsumed_tail or self._packed()
                data = unpacker.decompress(packed, most)
                if data or not packed:
                    return data
        except zlib.error as error:
            raise UnreadableError(f"damaged in the archive ({safe(error, 60)})") from error
        return b""

    def _packed(self) -> bytes:
        """The next packed bytes."""
        left = self._member.stored - self._fed
        data = os.pread(self._archive.fileno(), min(_BLOCK, left), self._begin + self._fed)
        self._fed += len(data)
        return data

    def _check(self) -> None:
        """Compare length and checksum with those that the archive has recorded."""
        member = self._member
        if self._position > member.size:
            raise UnreadableError(LENGTH_ERROR)
        if self._position == self._summed == member.size and member.crc not in (None, self._crc):
            raise UnreadableError(CRC_ERROR)
