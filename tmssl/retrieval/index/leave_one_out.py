"""Rows of the gallery as queries: what each finds, its own row left out, and the ranks of its mates."""

from collections.abc import Sequence

import faiss
import numpy as np
import torch

from tmssl.errors import InputError
from tmssl.retrieval.index.approximate import search_approximate
from tmssl.retrieval.index.exact import CPU, search_many
from tmssl.types import Indices, Progress, Vectors

_QUERY_BLOCK = 256
_GALLERY_BLOCK = 1 << 15  # with 1280 features 160 MiB
TIE = 1e-6
"""cosines that differ by less are equal but for rounding"""


def search_rows(
    index: faiss.Index,
    queries: Indices,
    k: int,
    progress: Progress | None = None,
    *,
    excluded: Sequence[Indices] | None = None,
    device: torch.device = CPU,
    approximate: faiss.Index | None = None,
) -> tuple[Vectors, Indices]:
    """The k rows nearest to some rows of the gallery by cosine, each left out of its own list.

    Args:
        index: of the gallery, exact.
        queries: rows, (q,).
        k: length of the lists; at most the gallery less one and less what is excluded.
        progress: called with (queries done, queries).
        excluded: for each query further rows that its list must not hold.
        device: where similarities are computed.
        approximate: the index that is searched; similarities are those of `index` in any case.

    Returns:
        Similarities (q, k), falling, and rows (q, k).

    Raises:
        InputError: the approximate index finds fewer than k.
    """
    most_excluded = max(map(len, excluded), default=0) if excluded is not None else 0
    vectors, length = index.reconstruct_batch(queries), min(k + 1 + most_excluded, index.ntotal)
    if approximate is not None:
        similarity, rows = search_approximate(index, approximate, vectors, length, progress)
    else:
        similarity, rows = search_many(index, vectors, length, progress, device=device)
    unwanted = (rows == queries[:, None]) | (rows < 0)
    for i, away in enumerate(excluded or ()):
        unwanted[i] |= np.isin(rows[i], away)
    # The wanted ones first, in their order; a query may be missing among its own duplicates.
    order = np.argsort(unwanted, axis=1, kind="stable")[:, :k]
    similarity, rows = np.take_along_axis(similarity, order, 1), np.take_along_axis(rows, order, 1)
    if short := int((rows < 0).any(1).sum()):
        raise InputError(
            f"the approximate index finds fewer than {k} marks for {short} of {len(queries)} queries; "
            "let it look at more (;nprobe=) or ask for fewer with --topk"
        )
    return np.clip(similarity, -1, 1), rows  # half precision may exceed 1 by a rounding


def mate_ranks(
    index: faiss.Index,
    queries: Indices,
    mates: Sequence[Indices],
    progress: Progress | None = None,
    *,
    excluded: Sequence[Indices] | None = None,
) -> list[Indices]:
    """Ranks from 1 of some marks in each query's list, ascending; the query itself is not in it.

    Among ties the mates come last, METU's worst case: the j-th mate has rank j + the number of other
    marks that are at least as similar.

    Args:
        index: of the gallery, exact.
        queries: rows, (q,).
        mates: for each query the rows whose ranks are wanted, the query not among them.
        progress: called with (marks compared, gallery).
        excluded: for each query further rows that are not counted, none of them a mate.
    """
    ahead = [np.zeros(len(rows), np.int64) for rows in mates]
    with_mates = np.array([i for i, rows in enumerate(mates) if len(rows)], dtype=np.int64)
    if len(with_mates) == 0:
        return ahead
    away = excluded if excluded is not None else []
    vectors = index.reconstruct_batch(queries[with_mates])
    limits = [
        np.sort(index.reconstruct_batch(mates[i]) @ vector)[::-1] - TIE
        for i, vector in zip(with_mates.tolist(), vectors, strict=True)
    ]
    for begin in range(0, index.ntotal, _GALLERY_BLOCK):
        block = index.reconstruct_n(begin, min(_GALLERY_BLOCK, index.ntotal - begin))
        for first in range(0, len(with_mates), _QUERY_BLOCK):
            part = slice(first, first + _QUERY_BLOCK)
            similarity = vectors[part] @ block.T
            for i, cosines, limit in zip(
                with_mates[part].tolist(), similarity, limits[part], strict=True
            ):
                unseen = np.concatenate([mates[i], queries[i : i + 1], *away[i : i + 1]]) - begin
                cosines[unseen[(unseen >= 0) & (unseen < len(block))]] = -np.inf
                ahead[i] += [np.count_nonzero(cosines >= lowest) for lowest in limit]
        if progress:
            progress(begin + len(block), index.ntotal)
    return [count + np.arange(1, len(count) + 1) for count in ahead]
