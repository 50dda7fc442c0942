"""Exact search: scans for one query, products of blocks of matrices for many, on a GPU or a CPU.

faiss decodes half precision anew for each query, which is right for one and slow for hundreds. For many,
a block of the gallery is decoded once, on the device, and multiplied with every query.
"""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import torch
from torch import Tensor

from tmssl.errors import InputError
from tmssl.types import Indices, Mask, Progress, Vectors

_GALLERY_AT_ONCE = 1 << 15  # with 1280 features 160 MiB
_FEW = 4  # times k
_QUERIES_AT_ONCE = 1 << 10  # with that, 128 MiB of similarities
_APPROXIMATE_AT_ONCE = 256  # queries
_CPU = torch.device("cpu")


def search_one(
    index: faiss.Index, vector: Vectors, k: int, mask: Mask | None
) -> tuple[Vectors, Indices]:
    """Similarities (k,), falling, and rows (k,) of the marks nearest to a unit vector (1, f).

    faiss gives one query one core, so each core takes a part of the gallery.

    Args:
        index: of the gallery.
        vector: what is searched for.
        k: how many, at most the marks that are compared.
        mask: which marks are compared at all, so that the k are exactly those of a gallery without
            the others; None compares all.
    """
    bounds = np.linspace(0, index.ntotal, faiss.omp_get_max_threads() + 1).astype(int).tolist()
    bits = None if mask is None else np.packbits(mask, bitorder="little")

    def part(begin: int, end: int) -> tuple[Vectors, Indices]:
        chosen: Any = faiss.IDSelectorRange(begin, end)
        if bits is not None:
            chosen = faiss.IDSelectorAnd(chosen, faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg,arg-type]  # its Python wrapper takes an array
        parameters = faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg]  # as above
        found = index.search(vector, k, params=parameters)
        return found[0][0], found[1][0]

    parts = list(_single_threads().map(part, bounds[:-1], bounds[1:]))
    similarity = np.concatenate([one for one, _ in parts])
    rows = np.concatenate([one for _, one in parts])
    order = np.lexsort((rows, -similarity))
    order = order[rows[order] >= 0][:k]  # a part with too few fills up with -1
    return np.clip(similarity[order], -1, 1), rows[order]


@functools.cache
def _single_threads() -> ThreadPoolExecutor:
    """Threads in which faiss starts no others: it would, for one query too, and then wait for them."""
    count = faiss.omp_get_max_threads()
    return ThreadPoolExecutor(count, initializer=faiss.omp_set_num_threads, initargs=(1,))


def search(
    index: faiss.Index,
    own: Indices,
    k: int,
    progress: Progress | None = None,
    *,
    left_out: Sequence[Indices] | None = None,
    device: torch.device = _CPU,
    approximate: faiss.Index | None = None,
) -> tuple[Vectors, Indices]:
    """The k nearest rows of some rows of the gallery by cosine, each left out of its own list.

    Args:
        index: of the gallery.
        own: the rows that are the queries, (q,).
        k: length of the lists; at most the gallery less one and less what is left out.
        left_out: for each query further rows that its list must not hold.
        progress: called with (queries done, queries).
        device: where similarities are computed.
        approximate: what is searched instead; similarities are those of `index` in any case.

    Returns:
        Similarities (q, k), falling, and rows (q, k).

    Raises:
        InputError: the approximate index finds fewer than k.
    """
    more = max(map(len, left_out), default=0) if left_out is not None else 0
    queries, length = index.reconstruct_batch(own), min(k + 1 + more, index.ntotal)
    if approximate is not None:
        similarity, rows = search_approximate(index, approximate, queries, length, progress)
    else:
        similarity, rows = search_many(index, queries, length, device, progress)
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


def search_approximate(
    index: faiss.Index,
    approximate: faiss.Index,
    queries: Vectors,
    k: int,
    progress: Progress | None = None,
) -> tuple[Vectors, Indices]:
    """At most k nearest rows by an approximate index, with the exact similarities.

    Returns:
        Similarities (q, k), falling, and rows (q, k), -1 where it found no more.
    """
    similar, found = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    for begin in range(0, len(queries), _APPROXIMATE_AT_ONCE):
        some = queries[begin : begin + _APPROXIMATE_AT_ONCE]
        for i, rows in enumerate(approximate.search(some, k)[1], begin):
            told = np.full(k, -np.inf, np.float32)
            told[rows >= 0] = index.reconstruct_batch(rows[rows >= 0]) @ queries[i]
            order = np.lexsort((rows, -told))
            similar[i], found[i] = told[order], rows[order]
        if progress:
            progress(begin + len(some), len(queries))
    return similar, found


def search_many(
    index: faiss.Index,
    queries: Vectors,
    k: int,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[Vectors, Indices]:
    """The k largest inner products of each query with the vectors of an index, in float32.

    Args:
        index: of n vectors in half precision.
        queries: float32 (q, d).
        k: at most n.
        device: where the products are computed.
        progress: called with (queries' worth of work done, q).

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    wanted = torch.from_numpy(queries).to(device)
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    gallery = half_vectors(index)
    decoded = torch.empty((min(_GALLERY_AT_ONCE, index.ntotal), index.d), device=device)
    for begin in range(0, index.ntotal, _GALLERY_AT_ONCE):
        held = gallery[begin : begin + _GALLERY_AT_ONCE]
        block = decoded[: len(held)].copy_(held.to(device))
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            some = slice(first, first + _QUERIES_AT_ONCE)
            with full_precision():
                similar = wanted[some] @ block.T
            found = _candidates(similar, best[some, -1], k)
            best[some], rows[some] = merged(best[some], rows[some], *found, begin)
        if progress:
            progress(len(queries) * (begin + len(block)) // index.ntotal, len(queries))
    return best, rows


def half_vectors(index: faiss.Index) -> Tensor:
    """The vectors of an index as it holds them, float16 (n, d): not a copy, and only to be read.

    Nothing keeps the index alive for them; whoever uses them does.
    """
    holder: Any = index  # the stub's general index has no codes
    codes = faiss.rev_swig_ptr(holder.codes.data(), 2 * index.ntotal * index.d)
    return torch.from_numpy(codes.view(np.float16).reshape(index.ntotal, index.d))


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Products in float32 proper: a training in the same process allows TF32, which keeps 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _candidates(similar: Tensor, limit: Vectors, k: int) -> tuple[Indices, Indices, Vectors]:
    """Query, place and similarity of all that may be among a query's best, ties with the last included."""
    least = torch.from_numpy(limit).to(similar.device)
    reaching = similar >= least[:, None]
    # The first block has no limit yet; later few reach it, and selecting among all would cost more.
    if similar.shape[1] >= k and int(reaching.sum()) > _FEW * k * len(similar):
        reaching = similar >= torch.maximum(least, similar.topk(k, dim=1).values[:, -1])[:, None]
    queries, places = reaching.nonzero(as_tuple=True)
    return queries.cpu().numpy(), places.cpu().numpy(), similar[queries, places].cpu().numpy()


def merged(
    best: Vectors, rows: Indices, queries: Indices, places: Indices, similarity: Vectors, begin: int
) -> tuple[Vectors, Indices]:
    """The best of what was known and what was found; among equals the lower row is first.

    So a list never depends on how long it was asked to be, nor on where blocks begin.

    Args:
        best: similarities known, (q, k).
        rows: their rows.
        queries: query of each that was found, (found,).
        places: its place in the block.
        similarity: its similarity.
        begin: row at which the block begins.
    """
    count, k = best.shape
    whose = np.concatenate([np.repeat(np.arange(count), k), queries])
    similar = np.concatenate([best.ravel(), similarity])
    row = np.concatenate([rows.ravel(), places + begin])
    order = np.lexsort((row, -similar, whose))
    ends = np.cumsum(np.bincount(whose, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])
    kept = order[starts[:, None] + np.arange(k)]
    return similar[kept], row[kept]
