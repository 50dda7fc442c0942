"""A tar or zip of images, read in place: its members are listed once, then read at their offsets."""

import io
import os
import posixpath
import tarfile
import zipfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tmssl.data.sources.folder import ATTRIBUTION, is_image
from tmssl.data.sources.location import Member
from tmssl.data.sources.table import choose_labels, is_label_file
from tmssl.errors import CatalogueError
from tmssl.text import safe

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_SUFFIXES = (".tar", ".zip")
_COMPRESSED = (".tgz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".zst")
_Entry = tuple[str, int, int, int]  # name, offset, bytes in the archive, bytes once unpacked


class MemberTable:
    """Name to member, for an eighth of the memory of a dictionary."""

    def __init__(self, archive: Path, *, zipped: bool) -> None:
        self._archive, self._zipped = str(archive), zipped
        self._rows: dict[str, int] = {}
        self._numbers = array("q")  # offset, stored and size of each

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, name: str) -> Member:
        row = 3 * self._rows[name]
        offset, stored, size = self._numbers[row : row + 3]
        return Member(self._archive, offset, stored, size, self._zipped)

    def add(self, name: str, offset: int, stored: int, size: int) -> None:
        """Add a member; the last one of a name counts, as when an archive is unpacked."""
        self._rows[name] = len(self._numbers) // 3
        self._numbers.extend((offset, stored, size))


class Archive:
    """The images and labels of an archive; `Folder` has the same methods."""

    def __init__(self, root: Path, members: MemberTable) -> None:
        self.root = root
        self.images = sorted(name for name in members if is_image(name))
        self.labels = choose_labels(name for name in members if is_label_file(name))
        self.outside: list[str] = []  # `read_archive` refuses such members
        self._members = members

    def location(self, path: str) -> Member:
        """Where the bytes of an image are."""
        return self._members[path]

    def length(self, path: str) -> int:
        """Bytes of an image file."""
        return self._members[path].size

    def open(self, path: str) -> BinaryIO:
        """A member, open for reading; one of a zip is unpacked as it is read.

        Raises:
            OSError: it cannot be read.
        """
        member = self._members[path]
        if member.zipped:
            with zipfile.ZipFile(self.root) as archive:
                info = next(i for i in archive.infolist() if i.header_offset == member.offset)
                return archive.open(info)  # type: ignore[return-value]  # typeshed: IO[bytes]
        return io.BufferedReader(_TarMember(member))

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        if ATTRIBUTION not in self._members:
            return ""
        with self.open(ATTRIBUTION) as file:
            return file.read(1 << 16).decode("utf-8", "replace")


class _TarMember(io.RawIOBase):
    """A member of a tar as a file."""

    def __init__(self, member: Member) -> None:
        self._file = Path(member.archive).open("rb")  # noqa: SIM115 - `close` closes it
        self._begin, self._length, self._position = member.offset, member.stored, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}
        self._position = max(0, bases[whence] + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        self._file.seek(self._begin + self._position)
        data = self._file.read(min(len(view), max(0, self._length - self._position)))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


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
            plain = _inside(path, name)
            hidden = any(part.startswith(".") for part in plain.split("/"))
            if not hidden and (is_image(plain) or is_label_file(plain) or plain == ATTRIBUTION):
                members.add(plain, *numbers)
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


def _tar_entries(path: Path) -> Iterator[_Entry]:
    """The files of a tar; a hard link has the offset of its target."""
    files = MemberTable(path, zipped=False)
    with tarfile.open(path, "r:") as archive:
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # else it keeps a kilobyte for each
            if info.isreg() and not info.issparse():
                files.add(info.name, info.offset_data, info.size, info.size)
                yield info.name, info.offset_data, info.size, info.size
            elif info.islnk() and info.linkname in files:
                target = files[info.linkname]
                yield info.name, target.offset, target.stored, target.size
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
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                yield info.filename, info.header_offset, info.compress_size, info.file_size
