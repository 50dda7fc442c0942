"""Which regions of a query and of the marks it found were compared."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_search import compare_rows
from tmssl.retrieval.search.results import ComparedRegion
from tmssl.retrieval.vectors.regions import WHOLE, Region, find_regions
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
    """
    pairs = compare_rows(regional, vectors, np.array(rows, np.int64))[1]
    of_query, of_mark = np.divmod(pairs, regional.regions)
    return [
        (_told(regions[one]), _told(find_regions(picture, regional.regions)[other]))
        for one, other, picture in zip(of_query, of_mark, pack.read(rows), strict=True)
    ]


def _told(region: Region) -> ComparedRegion | None:
    """A region as a record tells it."""
    return None if region == WHOLE else ComparedRegion(kind=region.kind, **region.box._asdict())
