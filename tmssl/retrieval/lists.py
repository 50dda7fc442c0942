"""The lists of nearest marks: of many marks of the gallery, exactly or by an approximate index."""

from collections.abc import Callable, Sequence

import faiss
import numpy as np
import numpy.typing as npt
import torch

from tmssl.errors import InputError
from tmssl.retrieval.blocked import blocked_search
from tmssl.retrieval.bounded import bounded_search
from tmssl.retrieval.principal import Principal

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_QUERIES_AT_ONCE = 256
_CPU = torch.device("cpu")


def search(
    index: faiss.Index, own: Rows, k: int, progress: Progress | None = None, *,
    left_out: Sequence[Rows] | None = None, device: torch.device = _CPU,
    approximate: faiss.Index | None = None, principal: Principal | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
    """The k nearest rows of some rows of the gallery by cosine, each left out of its own list.

    Args:
        index: of the gallery.
        own: the rows that are the queries, (q,).
        k: length of the lists; at most the gallery less one and less what is left out.
        left_out: for each query further rows that its list must not hold.
        progress: called with (queries done, queries).
        device: where similarities are computed.
        approximate: what is searched instead; similarities are those of `index` in any case.
        principal: `index` along its leading directions, which makes a CPU quicker and changes nothing.

    Returns:
        Similarities (q, k), falling, and rows (q, k).

    Raises:
        InputError: the approximate index finds fewer than k.
    """
    more = max(map(len, left_out), default=0) if left_out is not None else 0
    queries, length = index.reconstruct_batch(own), min(k + 1 + more, index.ntotal)
    if approximate is not None:
        similarity, rows = approximate_search(index, approximate, queries, length, progress)
    else:
        similarity, rows = exact_search(
            index, queries, length, device, progress, principal=principal
        )
    unwanted = (rows == own[:, None]) | (rows < 0)
    for i, away in enumerate(left_out or ()):
        unwanted[i] |= np.isin(rows[i], away)
    # The wanted ones first, in their order; a query may be missing among its own duplicates.
    order = np.argsort(unwanted, axis=1, kind="stable")[:, :k]
    similarity, rows = np.take_along_axis(similarity, order, 1), np.take_along_axis(rows, order, 1)
    if short := int((rows < 0).any(1).sum()):
        raise InputError(
            f"the approximate index finds fewer than {k} marks for {short} of {len(own)} queries; "
            "let it look at more (;nprobe=) or ask for fewer with --topk"
        )
    return np.clip(similarity, -1, 1), rows  # half precision may exceed 1 by a rounding


def exact_search(
    index: faiss.Index, queries: Vectors, k: int, device: torch.device,
    progress: Progress | None = None, *, principal: Principal | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
    """The k nearest rows of unit vectors (q, d) by cosine, in the quickest exact way.

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    if principal is not None and device.type == "cpu":
        return bounded_search(index, principal, queries, k, progress)
    return blocked_search(index, queries, k, device, progress)


def approximate_search(
    index: faiss.Index, approximate: faiss.Index, queries: Vectors, k: int,
    progress: Progress | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
    """At most k nearest rows by an approximate index, with the exact similarities.

    Returns:
        Similarities (q, k), falling, and rows (q, k), -1 where it found no more.
    """
    similar, found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for begin in range(0, len(queries), _QUERIES_AT_ONCE):
        some = queries[begin : begin + _QUERIES_AT_ONCE]
        for i, rows in enumerate(approximate.search(some, k)[1], begin):
            told = np.full(k, -np.inf, np.float32)
            told[rows >= 0] = index.reconstruct_batch(rows[rows >= 0]) @ queries[i]
            order = np.lexsort((rows, -told))
            similar[i], found[i] = told[order], rows[order]
        if progress:
            progress(begin + len(some), len(queries))
    return similar, found
