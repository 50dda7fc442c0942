"""What a pack says of itself, and its rows: all that a search needs of it."""

import hashlib
from pathlib import Path

import msgspec

from tmssl.data.sources.marks import AGAIN, MarkTable
from tmssl.data.sources.table import is_label_file
from tmssl.errors import PackError
from tmssl.text import safe

FORMAT = 2  # raise it when the files, or what picture.py makes of an image, come out differently
FACTS, ROWS = "pack.json", "catalogue.jsonl"


class Facts(msgspec.Struct, rename={"version": "format"}):
    """What pack.json says; it is written last, so a folder that has it was a whole pack."""

    version: int
    fingerprint: str
    """of the catalogue"""
    size: int
    """side of the images in pixels"""
    count: int
    frame_bytes: int
    source_root: str
    attribution: str

    @property
    def identity(self) -> str:
        """A digest of whose pixels a pack holds and how they were made.

        Bytes of the frame tell of images that changed and kept their sizes, which the fingerprint does not.
        """
        words = f"{FORMAT} {self.fingerprint} {self.size} {self.count} {self.frame_bytes}"
        return hashlib.sha256(words.encode()).hexdigest()


def labels_changed(source: Path, pack: Path) -> bool:
    """Whether a table, or the labels at the top of a folder, were written after a pack of them was made."""
    try:
        made = (pack / ROWS).stat().st_mtime
        tables = [source]
        if source.is_dir():
            tables = [path for path in source.iterdir() if is_label_file(path.name)]
        return any(path.stat().st_mtime > made for path in tables)
    except OSError:  # moved away, so nothing is known
        return False


def read_facts(folder: Path) -> Facts:
    """The facts of a pack.

    Raises:
        PackError: it is missing, foreign or of another format.
    """
    path = folder / FACTS
    if not path.is_file():
        raise PackError(f"there is no pack at {safe(folder)}; {AGAIN}")
    try:
        facts = msgspec.json.decode(path.read_bytes(), type=Facts)
    except (OSError, ValueError) as error:
        raise PackError(f"{safe(folder)} is not a pack ({safe(error, 120)}); {AGAIN}") from error
    if facts.version != FORMAT:
        raise PackError(
            f"{safe(folder)} is a pack of format {facts.version}, not {FORMAT}; remove it and {AGAIN}"
        )
    return facts


def open_rows(folder: Path, facts: Facts) -> MarkTable:
    """The rows of a pack.

    Raises:
        PackError: they are missing, damaged, or not as many as its facts say.
    """
    try:
        rows = MarkTable.open(folder / ROWS)
    except (OSError, ValueError) as error:
        raise PackError(f"{safe(folder)} is not a pack ({safe(error, 120)}); {AGAIN}") from error
    if len(rows) != facts.count:
        raise PackError(
            f"{safe(folder)} is truncated: it has {len(rows):,} rows of {facts.count:,}; remove it and {AGAIN}"
        )
    return rows
