"""Lines of words that were read in marks and logos, as the boxes by which regions are cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tmssl.data.lettering.pack_lettering import lettering_boxes
from tmssl.data.lettering.reader import open_reader, reader_installed
from tmssl.retrieval.vectors.regions import Box
from tmssl.types import Pixels

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack


def mark_lines(pack: "Pack", rows: Sequence[int]) -> list[list[Box]]:
    """The lines of words of some marks of a pack whose lettering was read.

    Raises:
        PackError: that of one of them was not, or is damaged.
    """
    return [
        [Box(*(length / pack.size for length in line)) for line in lines]
        for lines in lettering_boxes(pack.folder, pack.info, rows)
    ]


def logo_lines(pixels: Pixels) -> list[Box]:
    """The lines of words of a logo, uint8 (s, s, 3), which are read; none without the extra text."""
    if not reader_installed():
        return []
    return [
        Box(*(length / len(pixels) for length in (line.left, line.top, line.right, line.bottom)))
        for line in open_reader()(pixels)
    ]
