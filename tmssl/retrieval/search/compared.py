"""Which regions of a query and of the marks it found were compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tmssl.errors import InputError
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_search import compare_rows
from tmssl.retrieval.search.results import ComparedRegion
from tmssl.retrieval.vectors.regions import WHOLE, Box, Region, find_regions
from tmssl.retrieval.vectors.word_lines import mark_lines
from tmssl.types import Vectors

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack

Pair = tuple[ComparedRegion | None, ComparedRegion | None]
"""the region of the query and that of the mark; None is the whole"""


def compared_regions(
    regional: RegionalIndex,
    pack: "Pack",
    regions: Sequence[Region],
    vectors: Vectors,
    rows: Sequence[int],
) -> list[Pair]:
    """The two regions that are most alike, for a query and each of some marks.

    Args:
        regional: the vectors of the marks.
        pack: their pictures.
        regions: of the query, the whole first.
        vectors: of these, (q, f).
        rows: of the marks.

    Raises:
        InputError: the file of the vectors is damaged, or of other regions.
        PackError: the pack or its lettering is damaged.
    """
    pairs = compare_rows(regional, vectors, np.array(rows, np.int64))[1]
    of_query, of_mark = np.divmod(pairs, regional.regions)
    of_rows = mark_regions(regional, pack, rows)
    if any(other >= len(of_row) for other, of_row in zip(of_mark, of_rows, strict=True)):
        raise InputError(  # another version of the reader found other lines
            "the lettering of the marks was read anew since their regions were cut by it; "
            "remove index/*-lettering* of the run"
        )
    return [
        (_told(regions[one]), _told(of_row[other]))
        for one, other, of_row in zip(of_query, of_mark, of_rows, strict=True)
    ]


def mark_regions(regional: RegionalIndex, pack: "Pack", rows: Sequence[int]) -> list[list[Region]]:
    """The regions of some marks of a gallery that its vectors are of, the whole first.

    Raises:
        PackError: the pack or its lettering is damaged.
    """
    lines: list[list[Box]] = mark_lines(pack, rows) if regional.lettered else [[] for _ in rows]
    return [
        find_regions(picture, regional.regions, of_mark)
        for picture, of_mark in zip(pack.read(rows), lines, strict=True)
    ]


def _told(region: Region) -> ComparedRegion | None:
    """A region as a record tells it."""
    return None if region == WHOLE else ComparedRegion(kind=region.kind, **region.box._asdict())
