"""The small files of a pack: pack.json and its marks. A search reads no more of a pack than these."""

import hashlib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from tmssl.data.sources.marks import REBUILD_HINT, MarkTable
from tmssl.data.sources.specification import expand, split_sources
from tmssl.data.tables.table import is_label_file
from tmssl.errors import CatalogueError, PackError
from tmssl.files import atomic_path, is_there
from tmssl.text import safe

FORMAT = 2  # raise it when files or preprocessed images come out differently
INFO_FILE, MARKS_FILE = "pack.json", "catalogue.jsonl"
REMOVED_FILE = "removed.jsonl"
"""marks that were removed from a pack or from those that it was made of"""


_Count = Annotated[int, Meta(ge=0, le=1 << 53)]
_Text = Annotated[str, Meta(max_length=1000)]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a pack: marks that were added to its parent, or removed from it."""

    parent: _Text
    """`PackInfo.identity` of the parent"""
    fingerprint: _Text
    """of the parent"""
    added: _Count = 0
    removed: _Count = 0
    by: Annotated[str, Meta(max_length=1 << 14)] = ""
    """the source that was added, or what was given to choose the marks that were removed"""


class PackInfo(msgspec.Struct, rename={"version": "format"}):
    """The contents of pack.json. It is written last: a folder that has it holds a complete pack."""

    version: int
    fingerprint: Annotated[str, Meta(max_length=1000)]
    """of the catalogue"""
    size: Annotated[int, Meta(ge=1, le=1 << 13)]
    """side of the images in pixels"""
    count: Annotated[int, Meta(ge=1, le=1 << 40)]
    frame_bytes: _Count
    source_root: str
    attribution: str
    unfinished: _Count = 0
    """JPEGs that lack their end marker, and were read all the same"""
    digests: list[Annotated[int, Meta(ge=0, lt=1 << 32)]] | None = None
    """CRC-32 of each part of the frame, from header to index; None in older packs"""
    changes: list[Change] = []
    """how it came about from the pack of one source, oldest first; empty for that pack"""
    kept: list[tuple[_Count, _Count]] = []
    """ranges of rows (begin, end) of the last parent, whose marks are the first of this pack"""

    @property
    def rows_kept(self) -> int:
        """How many of the first rows are the parent's."""
        return sum(end - begin for begin, end in self.kept)

    @property
    def identity(self) -> str:
        """SHA-256 that names the pixels of a pack: which images, preprocessed how.

        The size of the frame gives away changed images of unchanged file size, which the fingerprint
        misses.
        """
        text = f"{FORMAT} {self.fingerprint} {self.size} {self.count} {self.frame_bytes}"
        return hashlib.sha256(text.encode()).hexdigest()


def labels_changed(source: Path, pack: Path) -> bool:
    """Whether a table, or a labels file at the top of a folder, is newer than a pack made from it."""
    try:
        packed = (pack / MARKS_FILE).stat().st_mtime
        tables: list[Path] = []
        for part in split_sources(source):
            inside = part.iterdir() if part.is_dir() else expand(part)
            tables += [path for path in inside if path == part or is_label_file(path.name)]
        return any(path.stat().st_mtime > packed for path in tables)
    except (OSError, CatalogueError):  # the source or the pack was moved away
        return False


def read_info(folder: Path) -> PackInfo:
    """The pack.json of a pack.

    Raises:
        PackError: it is missing, damaged or of another format.
    """
    path = folder / INFO_FILE
    if not is_there(path) or not path.is_file():
        raise PackError(f"there is no pack at {safe(folder)}; {REBUILD_HINT}")
    try:
        info = msgspec.json.decode(path.read_bytes(), type=PackInfo)
    except (OSError, ValueError, RecursionError) as error:
        raise not_a_pack(folder, error) from error
    bounds = [row for pair in info.kept for row in pair]
    if bounds != sorted(bounds) or info.rows_kept > info.count:
        raise not_a_pack(folder, ValueError("its ranges of kept rows contradict each other"))
    if info.version != FORMAT:
        raise PackError(
            f"{safe(folder)} is a pack of format {info.version}, not {FORMAT}; "
            f"remove it and {REBUILD_HINT}"
        )
    return info


def write_info(folder: Path, info: PackInfo) -> None:
    """Write pack.json, which completes a pack."""
    with atomic_path(folder / INFO_FILE) as fresh:
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=1))


def open_marks(folder: Path, info: PackInfo) -> MarkTable:
    """The marks of a pack, in the order of its images.

    Raises:
        PackError: they are missing, damaged, or fewer or more than pack.json says.
    """
    try:
        marks = MarkTable.open(folder / MARKS_FILE)
    except (OSError, ValueError) as error:
        raise not_a_pack(folder, error) from error
    if len(marks) != info.count:
        raise PackError(
            f"{safe(folder)} is truncated: it has {len(marks):,} rows of {info.count:,}; "
            f"remove it and {REBUILD_HINT}"
        )
    return marks


def read_removed(folder: Path) -> MarkTable:
    """The marks that were removed from a pack, or from those that it was made of, oldest first.

    Raises:
        PackError: their file is damaged.
    """
    path = folder / REMOVED_FILE
    if not path.exists():
        return MarkTable(bytearray())
    try:
        return MarkTable.open(path)
    except (OSError, ValueError) as error:
        raise not_a_pack(folder, error) from error


def not_a_pack(folder: Path, error: Exception) -> PackError:
    """The error for a folder whose files cannot be read as those of a pack."""
    return PackError(f"{safe(folder)} is not a pack ({safe(error, 120)}); {REBUILD_HINT}")
