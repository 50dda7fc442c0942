"""Rows of the gallery as queries of several vectors each; as leave_one_out.py does it for one vector."""

from collections.abc import Sequence

import numpy as np

from tmssl.retrieval.index.leave_one_out import TIE
from tmssl.retrieval.index.regional import RegionalIndex
from tmssl.retrieval.index.regional_search import (
    BLOCK,
    compare,
    compare_rows,
    decode,
    region_vectors,
    search_regions,
)
from tmssl.types import Indices, Progress, Vectors


def search_regional_rows(
    index: RegionalIndex,
    queries: Indices,
    k: int,
    progress: Progress | None = None,
    *,
    excluded: Sequence[Indices],
) -> tuple[Vectors, Indices]:
    """The k marks nearest to some marks of the gallery by their regions, each left out of its own list.

    Args:
        index: of the gallery.
        queries: rows, (q,).
        k: length of the lists; at most the gallery less one and less what is excluded.
        progress: called with (queries done, queries).
        excluded: for each query further rows that its list must not hold.

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    similarity = np.empty((len(queries), k), np.float32)
    rows = np.empty((len(queries), k), np.int64)
    for i, (row, away) in enumerate(zip(queries.tolist(), excluded, strict=True)):
        length = min(k + 1 + len(away), index.whole.ntotal)
        near, found = search_regions(index, region_vectors(index, row), length)
        wanted = ~np.isin(found, np.append(away, row))
        similarity[i], rows[i] = near[wanted][:k], found[wanted][:k]
        if progress:
            progress(i + 1, len(queries))
    return similarity, rows


def regional_mate_ranks(
    index: RegionalIndex,
    queries: Indices,
    mates: Sequence[Indices],
    progress: Progress | None = None,
    *,
    excluded: Sequence[Indices],
) -> list[Indices]:
    """Ranks from 1 of some marks in each query's list, ascending, as `mate_ranks` counts them.

    Args:
        index: of the gallery.
        queries: rows, (q,).
        mates: for each query the rows whose ranks are wanted, the query not among them.
        progress: called with (marks compared, gallery).
        excluded: for each query further rows that are not counted, none of them a mate.
    """
    ahead = [np.zeros(len(rows), np.int64) for rows in mates]
    asked = [i for i, rows in enumerate(mates) if len(rows)]
    vectors = {i: region_vectors(index, int(queries[i])) for i in asked}
    limits = {i: np.sort(compare_rows(index, vectors[i], mates[i])[0])[::-1] - TIE for i in asked}
    for begin in range(0, index.whole.ntotal if asked else 0, BLOCK):
        rows = np.arange(begin, min(begin + BLOCK, index.whole.ntotal))
        block = decode(index, rows)
        for i in asked:
            similarity = compare(vectors[i], block)[0]
            unseen = np.concatenate([mates[i], queries[i : i + 1], excluded[i]]) - begin
            similarity[unseen[(unseen >= 0) & (unseen < len(rows))]] = -np.inf
            ahead[i] += [np.count_nonzero(similarity >= lowest) for lowest in limits[i]]
        if progress:
            progress(int(rows[-1]) + 1, index.whole.ntotal)
    return [count + np.arange(1, len(count) + 1) for count in ahead]
