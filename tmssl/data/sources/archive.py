"""A tar or zip of images, read in place: its members are listed once, then read at their offsets."""

import functools
import io
import posixpath
import struct
import tarfile
import zipfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tmssl.data.formats import HEAD_BYTES, why_no_image
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.folder import ATTRIBUTION, HIDDEN, LABELS, UNREAD
from tmssl.data.sources.location import Member, read_head, read_member
from tmssl.data.sources.member_stream import open_member
from tmssl.data.tables.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

SIDECARS = (".json", ".cls", ".txt")  # of a sample of WebDataset: its labels, class and caption
_SUFFIXES = (".tar", ".zip")
_COMPRESSED = (".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst")
_LARGEST = 1 << 62  # bytes; what a header says beyond is as impossible
_MAX_HEADER = 1 << 16  # bytes of names and attributes before a member of a tar
_BEFORE_A_MEMBER = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_NO_CRC = -1
# Name, offset, bytes in the archive, bytes once unpacked, CRC-32.
_Entry = tuple[str, int, int, int, int]


class MemberTable:
    """Name to member, for an eighth of the memory of a dictionary."""

    def __init__(self, archive: Path, *, zipped: bool) -> None:
        self._archive, self._zipped = str(archive), zipped
        self._rows: dict[str, int] = {}
        self._numbers = array("q")  # offset, stored, size and CRC of each

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, name: str) -> Member:
        row = 4 * self._rows[name]
        offset, stored, size, crc = self._numbers[row : row + 4]
        known = None if crc == _NO_CRC else crc
        return Member(self._archive, offset, stored, size, self._zipped, known)

    def add(self, name: str, offset: int, stored: int, size: int, crc: int = _NO_CRC) -> None:
        """Add a member; the last one of a name counts, as when an archive is unpacked."""
        self._rows[name] = len(self._numbers) // 4
        self._numbers.extend((offset, stored, size, crc))

    def copy(self, name: str, other: "MemberTable") -> None:
        """Add a member of another table of the same archive."""
        member = other[name]
        crc = _NO_CRC if member.crc is None else member.crc
        self.add(name, member.offset, member.stored, member.size, crc)

    def empty(self) -> "MemberTable":
        """A table of the same archive without members."""
        return MemberTable(Path(self._archive), zipped=self._zipped)


class Archive:
    """The images and labels of an archive; `Folder` has the same methods."""

    def __init__(self, root: Path, members: MemberTable) -> None:
        self.root = root
        self.sidecars = members.empty()
        """small files beside the images, which may be their labels"""
        self.shards: list[Path] = []  # the lengths of members tell contents apart
        self.images: list[str] = []
        self.skipped: dict[str, list[str]] = {}
        tables: list[str] = []
        for name in sorted(members):
            if name.startswith(".") or "/." in name:
                self._skip(name, HIDDEN)
            elif is_label_file(name):
                tables.append(name)
            elif reason := why_no_image(name, functools.partial(_head, members, name)):
                self._skip(name, reason)
                if name.lower().endswith(SIDECARS):
                    self.sidecars.copy(name, members)
            else:
                self.images.append(name)
        self.labels = choose_labels(tables)
        unread = sorted(set(tables).difference(self.labels))
        self.skipped |= {LABELS: self.labels, UNREAD: unread}
        self.outside: list[str] = []  # `read_archive` refuses such members
        self._members = members

    def _skip(self, name: str, reason: str) -> None:
        self.skipped.setdefault(reason, []).append(name)

    def location(self, path: str) -> Member:
        """Where the bytes of an image are."""
        return self._members[path]

    def length(self, path: str) -> int:
        """Bytes of an image file."""
        return self._members[path].size

    def open(self, path: str) -> BinaryIO:
        """A member, open for reading, which is unpacked as it is read.

        Raises:
            OSError: it cannot be read.
            UnreadableError: it is encrypted, compressed by an unknown method or a bomb; or, as it is
                read, damaged.
        """
        member = self._members[path]
        if member.zipped and path.lower().endswith(".parquet"):  # read back and forth
            return io.BytesIO(read_member(member))
        return open_member(member)

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        if ATTRIBUTION not in self._members:
            return ""
        try:
            with self.open(ATTRIBUTION) as file:
                return file.read(1 << 16).decode("utf-8", "replace")
        except (OSError, UnreadableError):
            return ""


def _head(members: MemberTable, name: str) -> bytes:
    """The first bytes of a member."""
    return read_head(members[name], HEAD_BYTES)


def is_archive(path: Path) -> bool:
    """Whether a file has the suffix of an archive, readable in place or not."""
    return path.suffix.lower() in _SUFFIXES + _COMPRESSED


def read_archive(path: Path) -> Archive:
    """List the images and labels of a tar or zip; hard links in a tar are followed.

    Raises:
        CatalogueError: it is damaged, compressed as a whole, or has a path that leads out of it.
    """
    if path.suffix.lower() in _COMPRESSED:
        raise CatalogueError(
            f"{safe(path)} is compressed as a whole, so its images cannot be read in place; "
            "unpack it to a .tar or a folder first"
        )
    zipped = path.suffix.lower() == ".zip"
    members = MemberTable(path, zipped=zipped)
    try:
        for name, *numbers in _zip_entries(path) if zipped else _tar_entries(path):
            members.add(_inside(path, name), *numbers)
    except _LISTING_ERRORS as error:
        raise CatalogueError(
            f"cannot read {safe(path)}: {safe(error, 200)}; it may be cut off or no archive"
        ) from error
    return Archive(path, members)


# Of damaged headers: a version or method that nobody has, recursion by headers of headers.
_LISTING_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    OSError,
    ValueError,
    EOFError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    struct.error,
)


def _inside(archive: Path, name: str) -> str:
    """A member's path without `./`; one that leads out of the archive is refused."""
    plain = posixpath.normpath(name.replace("\\", "/"))
    if plain.startswith("/") or plain.split("/")[0] == ".." or plain[1:2] == ":":
        raise CatalogueError(
            f"{safe(archive)} holds '{safe(name, 60)}', a path that leads out of it; such an archive "
            "is refused; pack it again with paths inside one folder"
        )
    return plain


class _BoundedHeader(tarfile.TarInfo):
    """A header of a tar whose size is possible."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_BoundedHeader":
        """Read a header; tarfile calls this before it reads what follows.

        Raises:
            tarfile.ReadError: it has less than nothing, or more names and attributes than a member needs.
        """
        header = super().frombuf(buf, encoding, errors)
        _check_size(header, _MAX_HEADER if header.type in _BEFORE_A_MEMBER else _LARGEST)
        return header


def _check_size(header: tarfile.TarInfo, most: int) -> None:
    """Refuse a size with which reading would never end, or fill all memory."""
    if not 0 <= header.size <= most:
        shown = f"{header.size:,}" if abs(header.size) <= _LARGEST else "far too many"
        raise tarfile.ReadError(f"'{safe(header.name, 60)}' is said to have {shown} bytes")


def _tar_entries(path: Path) -> Iterator[_Entry]:
    """The files of a tar; a hard link has the offset of its target."""
    files = MemberTable(path, zipped=False)
    length, reached = path.stat().st_size, 0
    with tarfile.open(path, "r:", tarinfo=_BoundedHeader) as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
            _check_size(info, length)  # again: its attributes may name another size
            if archive.offset <= reached:
                raise tarfile.ReadError(f"the header at byte {reached:,} leads back")
            reached = archive.offset
            if info.isreg() and not info.issparse():
                files.add(info.name, info.offset_data, info.size, info.size)
                yield info.name, info.offset_data, info.size, info.size, _NO_CRC
            elif info.islnk() and info.linkname in files:
                target = files[info.linkname]
                yield info.name, target.offset, target.stored, target.size, _NO_CRC
        _check_end(path, archive.offset)


def _check_end(path: Path, offset: int) -> None:
    """Refuse a tar that goes on after its last member: tarfile takes a damaged header for the end."""
    with path.open("rb") as file:
        file.seek(offset)
        rest = file.read(tarfile.BLOCKSIZE)
    if rest and rest != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"a damaged header at byte {offset:,}")


def _zip_entries(path: Path) -> Iterator[_Entry]:
    """The files of a zip."""
    length, packed = path.stat().st_size, 0
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            packed += info.compress_size if info.compress_size <= length else 0
            if packed > length:
                raise zipfile.BadZipFile("its members overlap, as in a trap")
            if not info.is_dir():
                numbers = (info.header_offset, info.compress_size, info.file_size)
                offset, stored, size = (min(max(0, number), _LARGEST) for number in numbers)
                yield info.filename, offset, stored, size, info.CRC
