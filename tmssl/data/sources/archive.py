"""A tar or zip of images, read where it lies: members are found once and read by their offsets."""

import io
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from tmssl.data.preprocess import UnreadableError, cannot_read
from tmssl.data.sources.folder import ATTRIBUTION, is_image
from tmssl.data.sources.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer as Buffer


class Piece(NamedTuple):
    """Where the bytes of one member are."""

    archive: str
    offset: int
    """of the bytes in a tar, of the local header in a zip"""
    length: int
    """bytes as they lie there"""
    size: int
    """bytes once unpacked"""
    zipped: bool


class Pieces:
    """Name to piece, for an eighth of the memory that a dictionary of pieces takes."""

    def __init__(self, archive: Path, *, zipped: bool) -> None:
        self._archive, self._zipped = str(archive), zipped
        self._rows: dict[str, int] = {}
        self._numbers = array("q")  # offset, length and size of each

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, name: str) -> Piece:
        row = 3 * self._rows[name]
        offset, length, size = self._numbers[row : row + 3]
        return Piece(self._archive, offset, length, size, self._zipped)

    def add(self, name: str, offset: int, length: int, size: int) -> None:
        """Say where a member is; the last of a name counts, as when an archive is unpacked."""
        self._rows[name] = len(self._numbers) // 3
        self._numbers.extend((offset, length, size))


_SUFFIXES = (".tar", ".zip")
_COMPRESSED = (".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst")
_LARGEST = 1 << 28  # bytes of one image
_LOCAL = struct.Struct("<4s2xHH16xHH")  # of a zip member: signature, flags, method, two lengths
_ENCRYPTED, _STORED, _DEFLATED = 1, 0, 8


Place = str | Piece
"""an image file, or a member of an archive"""
_Member = tuple[str, int, int, int]  # name, offset, length, size


class Archive:
    """The images and labels of an archive."""

    def __init__(self, root: Path, members: Pieces) -> None:
        self.root = root
        self.images = sorted(name for name in members if is_image(name))
        self.labels = choose_labels(name for name in members if is_label_file(name))
        self.outside: list[str] = []  # such members are refused
        self._members = members

    def place(self, path: str) -> Place:
        """Where an image's bytes are."""
        return self._members[path]

    def length(self, path: str) -> int:
        """Bytes of an image file."""
        return self._members[path].size

    def open(self, path: str) -> BinaryIO:
        """A member for reading from its beginning; of a zip, unpacked as it is read.

        Raises:
            OSError: it cannot be read.
        """
        piece = self._members[path]
        if piece.zipped:
            with zipfile.ZipFile(self.root) as archive:
                info = next(i for i in archive.infolist() if i.header_offset == piece.offset)
                return archive.open(info)  # type: ignore[return-value]  # typeshed: IO[bytes]
        return io.BufferedReader(_Window(self.root, piece))

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        if ATTRIBUTION not in self._members:
            return ""
        with self.open(ATTRIBUTION) as file:
            return file.read(1 << 16).decode("utf-8", "replace")


class _Window(io.RawIOBase):
    """The bytes of one member of a tar as a file of its own."""

    def __init__(self, archive: Path, piece: Piece) -> None:
        self._file = archive.open("rb")
        self._begin, self._length, self._at = piece.offset, piece.length, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._length}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: "Buffer", /) -> int:
        wanted = min(len(memoryview(buffer)), max(0, self._length - self._at))
        self._file.seek(self._begin + self._at)
        data = self._file.read(wanted)
        memoryview(buffer)[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


def is_archive(path: Path) -> bool:
    """Whether a file's suffix is one of an archive, of a kind that can be read in place or not."""
    return path.suffix.lower() in _SUFFIXES + _COMPRESSED


def read_archive(path: Path) -> Archive:
    """The members of a tar or zip; links within a tar are followed, other special files left out.

    Raises:
        CatalogueError: it is damaged, compressed as a whole, or holds a path that leads out of it.
    """
    if path.suffix.lower() in _COMPRESSED:
        raise CatalogueError(
            f"{safe(path)} is compressed as a whole, so its images cannot be read in place; "
            "unpack it to a .tar or a folder first"
        )
    zipped = path.suffix.lower() == ".zip"
    members = Pieces(path, zipped=zipped)
    try:
        for name, *where in _zip_members(path) if zipped else _tar_members(path):
            plain = _inside(path, name)
            hidden = any(part.startswith(".") for part in plain.split("/"))
            if not hidden and (is_image(plain) or is_label_file(plain) or plain == ATTRIBUTION):
                members.add(plain, *where)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise CatalogueError(
            f"cannot read {safe(path)}: {safe(error, 200)}; it may be cut off or no archive"
        ) from error
    return Archive(path, members)


def _inside(archive: Path, name: str) -> str:
    """A member's path without `./`; one that leads out of the archive is refused."""
    plain = posixpath.normpath(name.replace("\\", "/"))
    if plain.startswith("/") or plain.split("/")[0] == ".." or plain[1:2] == ":":
        raise CatalogueError(
            f"{safe(archive)} holds '{safe(name, 60)}', a path that leads out of it; such an archive "
            "is refused; pack it again with paths inside one folder"
        )
    return plain


def _tar_members(path: Path) -> Iterator[_Member]:
    """Files of a tar with their places; a hard link has the place of the file that it means."""
    places = Pieces(path, zipped=False)
    with tarfile.open(path, "r:") as archive:
        while (member := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
            if member.isreg() and not member.issparse():
                places.add(member.name, member.offset_data, member.size, member.size)
                yield member.name, member.offset_data, member.size, member.size
            elif member.islnk() and member.linkname in places:
                meant = places[member.linkname]
                yield member.name, meant.offset, meant.length, meant.size
        _check_end(path, archive.offset)


def _check_end(path: Path, offset: int) -> None:
    """Refuse a tar that goes on where its members end: tarfile takes a damaged header for the end."""
    with path.open("rb") as file:
        file.seek(offset)
        rest = file.read(tarfile.BLOCKSIZE)
    if rest and rest != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"a damaged header at byte {offset:,}")


def _zip_members(path: Path) -> Iterator[_Member]:
    """Files of a zip with their places."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, info.header_offset, info.compress_size, info.file_size


def open_image(place: Place) -> Path | BinaryIO:
    """What `read_picture` takes, for an image file or a member of an archive.

    Raises:
        UnreadableError: the file is none that ends, or the member is damaged, encrypted, too large
            or packed in an unknown way.
    """
    if not isinstance(place, str):
        return io.BytesIO(read_piece(place))
    _check_file(place)
    return Path(place)


def read_bytes(place: Place) -> bytes:
    """The bytes of an image file or of a member of an archive.

    Raises:
        UnreadableError: as `open_image`, or the file is gone or above 256 MiB.
    """
    if not isinstance(place, str):
        return read_piece(place)
    _check_file(place)
    try:
        with open(place, "rb") as file:  # noqa: PTH123 - half a million times
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise cannot_read(error) from error
    if len(data) > _LARGEST:
        raise UnreadableError(f"above the limit of {_LARGEST:,} bytes")
    return data


def _check_file(path: str) -> None:
    """Refuse pipes and devices, which would be waited for without end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - half a million times
    except OSError as error:
        raise cannot_read(error) from error
    if not stat.S_ISREG(mode):
        raise UnreadableError("not a regular file")


def read_piece(piece: Piece) -> bytes:
    """The bytes of a member, read by their offset, so that many processes can read one archive.

    Raises:
        UnreadableError: the member is damaged, encrypted, too large or packed in an unknown way.
    """
    if max(piece.length, piece.size) > _LARGEST:
        raise UnreadableError(f"{piece.size:,} bytes, above the limit of {_LARGEST:,}")
    try:
        archive = os.open(piece.archive, os.O_RDONLY)
        try:
            if piece.zipped:
                return _unzipped(archive, piece)
            data = os.pread(archive, piece.length, piece.offset)
        finally:
            os.close(archive)
    except OSError as error:
        raise cannot_read(error) from error
    if len(data) < piece.length:
        raise UnreadableError("the archive ends before the image does")
    return data


def _unzipped(archive: int, piece: Piece) -> bytes:
    """The bytes of a zip's member, by its local header."""
    head = os.pread(archive, _LOCAL.size, piece.offset)
    if len(head) < _LOCAL.size:
        raise UnreadableError("the archive ends before the image does")
    signature, flags, method, name, extra = _LOCAL.unpack(head)
    if signature != b"PK\x03\x04":
        raise UnreadableError("the archive has changed or is damaged here")
    if flags & _ENCRYPTED:
        raise UnreadableError("encrypted in the archive")
    data = os.pread(archive, piece.length, piece.offset + _LOCAL.size + name + extra)
    if method == _DEFLATED:
        try:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, piece.size + 1)
        except zlib.error as error:
            raise UnreadableError(f"damaged in the archive ({safe(error, 60)})") from error
    elif method != _STORED:
        raise UnreadableError(f"packed by method {method}; only stored and deflated are read")
    if len(data) != piece.size:
        raise UnreadableError("damaged in the archive: not the length that it says")
    return data
