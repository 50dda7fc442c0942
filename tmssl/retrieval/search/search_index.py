"""The index that queries are searched in: a run's own, whitened or with an approximate one on request."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from tmssl.data.whitening import Whitening
from tmssl.errors import InputError
from tmssl.retrieval.index.approximate import (
    check_factory,
    factory_index,
    overlap_at_10,
    search_approximate,
)
from tmssl.retrieval.index.exact import search_one
from tmssl.retrieval.index.faiss_index import open_index
from tmssl.retrieval.index.regional import RegionalIndex, regional_files
from tmssl.retrieval.index.regional_search import (
    RegionRows,
    regional_overlap_at_10,
    search_regions,
)
from tmssl.retrieval.vectors.whitening import whitened_index
from tmssl.text import safe
from tmssl.types import Indices, Mask, Progress, Vectors

Engine = Callable[[Vectors, int, bool], tuple[Vectors, Indices]]
"""from a query (1, d), or (q, d) of several views, how many marks are wanted and whether the filters apply, to cosines and rows"""


@dataclasses.dataclass(frozen=True)
class SearchIndex:
    """A gallery's vectors, and how a query is made comparable with them."""

    exact: faiss.Index
    """whitened if asked for"""
    path: Path
    """of `exact`"""
    unwhitened: faiss.Index
    """the run's own index"""
    whitening: Whitening | None = None
    """from unit vectors of the encoder to those of `exact`"""
    approximate: faiss.Index | None = None
    """gives the nearest marks in place of `exact`"""
    overlap: float | None = None
    """overlap@10 of `approximate` with `exact`"""
    regional: RegionalIndex | None = None
    """several vectors of each mark, searched in place of `exact`"""
    engine: Engine | None = None
    """gives the nearest marks in place of all, from another machine"""

    @property
    def views(self) -> int:
        """Vectors of each mark, that of the whole among them."""
        return self.regional.regions if self.regional else 1

    def nearest(self, query: Vectors, k: int, mask: Mask | None = None) -> tuple[Vectors, Indices]:
        """Cosines, falling, and rows of the k marks nearest to a query.

        A query has the vector of the whole, (1, d), and where the index is regional those of its
        regions after it, (q, d); what such a similarity is, regional_search.py tells.
        A mask, bool (n,), restricts the search to its marks and makes it exact. Without one the
        approximate index, where there is one, may find fewer than k.
        """
        if self.engine is not None:
            return self.engine(query, k, mask is not None)
        if self.regional is not None:
            return search_regions(self.regional, query, k, mask)
        if self.approximate is None or mask is not None:
            return search_one(self.exact, query, k, mask)
        similarity, rows = search_approximate(self.exact, self.approximate, query, k)
        found = rows[0] >= 0
        return np.clip(similarity[0][found], -1, 1), rows[0][found]


def open_search_index(
    path: Path,
    marks: int,
    start_phase: Callable[[str], Progress | None],
    *,
    whiten: int = 0,
    factory: str = "",
    views: int = 1,
) -> SearchIndex:
    """Open a run's index; whitened vectors and approximate indexes are made once and kept.

    Args:
        path: of the run's own index.
        marks: in the gallery.
        start_phase: takes the name of a phase that begins, returns the callback for its progress.
        whiten: features kept by PCA-whitening; 0 does not whiten.
        factory: faiss's factory string of an approximate index; empty searches exactly.
        views: vectors of each mark; with more than one the factory is only checked here, before they are
            embedded, and `with_regions` makes its index.

    Raises:
        InputError: a kept index is damaged or of other marks, faiss does not know the factory, or the
            disk is full.
    """
    exact = unwhitened = open_index(path)
    if exact.ntotal != marks:
        raise InputError(
            f"{safe(path)} holds {exact.ntotal:,} marks of {marks:,}; remove it and try again"
        )
    whitening = approximate = overlap = None
    if whiten:
        exact, whitening, path = whitened_index(exact, path, whiten, start_phase("whitening"))
    if factory and views > 1:
        check_factory(factory, exact.d, views * exact.ntotal)
    elif factory:
        progress = start_phase(f"building {safe(factory, 40)}")
        approximate = factory_index(exact, path, factory, progress)
        overlap = overlap_at_10(exact, approximate)
    return SearchIndex(exact, path, unwhitened, whitening, approximate, overlap)


def with_regions(
    index: SearchIndex,
    regional: RegionalIndex,
    start_phase: Callable[[str], Progress | None],
    factory: str = "",
) -> SearchIndex:
    """An index that compares several vectors of each mark; an approximate one of all of them is made once.

    Args:
        index: of the whole marks.
        regional: the vectors.
        start_phase: as for `open_search_index`.
        factory: as there.

    Raises:
        InputError: faiss does not know the factory, or the disk is full.
    """
    if not factory:
        return dataclasses.replace(index, regional=regional)
    path = regional_files(index.path, regional.regions, lettered=regional.lettered).bits
    progress = start_phase(f"building {safe(factory, 40)}")
    approximate = factory_index(RegionRows(regional), path, factory, progress)
    regional = dataclasses.replace(regional, approximate=approximate)
    return dataclasses.replace(index, regional=regional, overlap=regional_overlap_at_10(regional))
