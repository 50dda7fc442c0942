"""The lettering of a pack in a folder beside it, `PACK.lettering/IDENTITY`, in parts of 64 marks.

A part is complete or absent. It carries the identity of the pack, a digest of its rows, and one of the pixels
of each mark, by which the lettering of a mark is found again when it is in another pack.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from tmssl.data.lettering.line import MOST_LINES, Line
from tmssl.data.pack.info import PackInfo
from tmssl.files import atomic_path, open_plain
from tmssl.types import Pixels

FORMAT = 1  # raise it when lettering is read differently
PER_PART = 64  # marks: some seconds of a core
_LARGEST = 1 << 20  # bytes of a part

Lines = Annotated[list[Line], Meta(max_length=MOST_LINES)]
_Digest = Annotated[str, Meta(max_length=64)]


class _Rows(msgspec.Struct, frozen=True):
    """The lettering of the marks of a part."""

    format: int
    pack: _Digest
    """identity of the pack"""
    number: int
    """of the part"""
    pixels: Annotated[list[_Digest], Meta(max_length=PER_PART)]
    """a digest of each mark's pixels"""
    lines: Annotated[list[Lines], Meta(max_length=PER_PART)]
    """of each mark"""


class _Part(msgspec.Struct, frozen=True):
    """A part as it is written."""

    sha256: _Digest
    """of `rows` as they are written"""
    rows: msgspec.Raw


def pixels_digest(pixels: Pixels) -> str:
    """What tells the pixels of one mark, uint8 (s, s, 3), from others."""
    return hashlib.blake2b(pixels.tobytes(), digest_size=12).hexdigest()


def lettering_folder(pack: Path, info: PackInfo) -> Path:
    """Where the lettering of a pack is kept."""
    return older_lettering(pack) / info.identity[:16]


def older_lettering(pack: Path) -> Path:
    """The folder that holds the lettering of what a folder of a pack holds or held."""
    return pack.with_name(f"{pack.name}.lettering")


def part_rows(number: int, info: PackInfo) -> range:
    """The rows of a part."""
    return range(number * PER_PART, min((number + 1) * PER_PART, info.count))


def part_count(info: PackInfo) -> int:
    """The number of parts of a pack."""
    return -(-info.count // PER_PART)


def part_name(number: int) -> str:
    """The name of the file of a part."""
    return f"part-{number:06d}.json"


def part_path(folder: Path, number: int) -> Path:
    """The file of a part."""
    return folder / part_name(number)


def write_part(
    folder: Path, identity: str, number: int, pixels: list[str], lines: list[list[Line]]
) -> None:
    """Write the lettering of the marks of a part.

    Args:
        folder: of the lettering of the pack.
        identity: of the pack.
        number: of the part.
        pixels: digest of each mark's pixels.
        lines: of each mark.

    Raises:
        OSError: the disk is full.
    """
    rows = msgspec.json.encode(_Rows(FORMAT, identity, number, pixels, lines))
    part = _Part(hashlib.sha256(rows).hexdigest(), msgspec.Raw(rows))
    with atomic_path(part_path(folder, number)) as fresh:
        fresh.write_bytes(msgspec.json.encode(part))


def read_part(folder: Path, info: PackInfo, number: int) -> list[list[Line]] | None:
    """The lettering of the marks of a part; None where it is missing, damaged or of another pack."""
    rows = _read(part_path(folder, number))
    whole = rows is not None and len(rows.lines) == len(part_rows(number, info))
    mine = rows is not None and (rows.pack, rows.number) == (info.identity, number)
    return rows.lines if rows is not None and whole and mine else None


def read_known(folders: Sequence[Path]) -> Iterator[tuple[str, list[Line]]]:
    """The digest of the pixels of every mark whose lettering some folders hold, and that lettering."""
    for folder in folders:
        for path in sorted(folder.glob("part-*.json")):
            rows = _read(path)
            if rows is not None:
                yield from zip(rows.pixels, rows.lines, strict=True)


def _read(path: Path) -> _Rows | None:
    """The rows of a file, if they are as they were written."""
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            content = file.read(_LARGEST + 1)
        part = msgspec.json.decode(content, type=_Part)
        rows = msgspec.json.decode(part.rows, type=_Rows)
    except (OSError, ValueError, RecursionError):
        return None
    sound = hashlib.sha256(bytes(part.rows)).hexdigest() == part.sha256
    same = rows.format == FORMAT and len(rows.pixels) == len(rows.lines)
    return rows if sound and same else None
