"""Exact search: a scan for one query, products of matrix blocks for many, on a GPU or a CPU.

faiss decodes half precision anew for each query, which is right for one and slow for hundreds. For many,
a block of the gallery is decoded once, on the device, and multiplied with every query.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import faiss
import numpy as np
import torch
from torch import Tensor

from tmssl.types import Indices, Mask, Progress, Vectors

_GALLERY_BLOCK = 1 << 15  # with 1280 features 160 MiB
_QUERY_BLOCK = 1 << 10  # with that, 128 MiB of similarities
_FEW = 4  # candidates a query, in multiples of k, that are merged without a selection before
CPU = torch.device("cpu")
T = TypeVar("T")


class Counted(Protocol):
    """Anything that holds vectors."""

    ntotal: int


def search_one(
    index: faiss.Index, query: Vectors, k: int, mask: Mask | None = None
) -> tuple[Vectors, Indices]:
    """The k rows nearest to one query by cosine.

    faiss gives one query one core, so each core scans a part of the gallery.

    Args:
        index: of the gallery, unit vectors.
        query: a unit vector (1, d).
        k: at most the rows that are compared.
        mask: the rows that are compared, bool (n,); None compares all.

    Returns:
        Cosines (k,), falling, and rows (k,).
    """
    bits = None if mask is None else np.packbits(mask, bitorder="little")

    def scan(begin: int, end: int) -> tuple[Vectors, Indices]:
        selector: Any = faiss.IDSelectorRange(begin, end)
        if bits is not None:
            selector = faiss.IDSelectorAnd(selector, faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg,arg-type]  # its Python wrapper takes an array
        parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]  # as above
        similarity, rows = index.search(query, k, params=parameters)
        return similarity[0], rows[0]

    parts = map_ranges(scan, index.ntotal)
    similarity = np.concatenate([part[0] for part in parts])
    rows = np.concatenate([part[1] for part in parts])
    order = np.lexsort((rows, -similarity))
    order = order[rows[order] >= 0][:k]  # a part with fewer than k rows fills up with -1
    return np.clip(similarity[order], -1, 1), rows[order]


def map_ranges(scan: Callable[[int, int], T], count: int) -> list[T]:
    """What a function of (begin, end) returns for consecutive ranges of 0 to `count`, one for each core."""
    bounds = np.linspace(0, count, faiss.omp_get_max_threads() + 1).astype(int).tolist()
    return list(_single_threads().map(scan, bounds[:-1], bounds[1:]))


@functools.cache
def _single_threads() -> ThreadPoolExecutor:
    """Threads in which faiss starts no others: it would, for one query too, and then wait for them."""
    count = faiss.omp_get_max_threads()
    return ThreadPoolExecutor(count, initializer=faiss.omp_set_num_threads, initargs=(1,))


def search_many(
    index: faiss.Index,
    queries: Vectors,
    k: int,
    progress: Progress | None = None,
    *,
    device: torch.device = CPU,
) -> tuple[Vectors, Indices]:
    """The k rows of the largest inner product with each query, in float32.

    Args:
        index: of n vectors in half precision.
        queries: float32 (q, d).
        k: at most n.
        progress: called with (queries' worth of work done, q).
        device: where the products are computed.

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    on_device = torch.from_numpy(queries).to(device)
    best = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.full((len(queries), k), -1, np.int64)
    gallery = half_vectors(index)
    decoded = torch.empty((min(_GALLERY_BLOCK, index.ntotal), index.d), device=device)
    for begin in range(0, index.ntotal, _GALLERY_BLOCK):
        halves = gallery[begin : begin + _GALLERY_BLOCK]
        block = decoded[: len(halves)].copy_(halves.to(device))
        for first in range(0, len(queries), _QUERY_BLOCK):
            part = slice(first, first + _QUERY_BLOCK)
            with full_precision():
                similarity = on_device[part] @ block.T
            candidates = _candidates(similarity, best[part, -1], k)
            best[part], rows[part] = _merge(best[part], rows[part], *candidates, begin)
        if progress:
            progress(len(queries) * (begin + len(block)) // index.ntotal, len(queries))
    return best, rows


def half_vectors(index: faiss.Index) -> Tensor:
    """The vectors of an index in its own memory, float16 (n, d), to be read only.

    They do not keep the index alive: the caller must.
    """
    typed: Any = index  # the stub's general index has no codes
    codes = faiss.rev_swig_ptr(typed.codes.data(), 2 * index.ntotal * index.d)
    return torch.from_numpy(codes.view(np.float16).reshape(index.ntotal, index.d))


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """Multiply in full float32: training in the same process allows TF32, which keeps 10 bits."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _candidates(similarity: Tensor, limit: Vectors, k: int) -> tuple[Indices, Indices, Vectors]:
    """What may be among a query's best k, ties with the limit included.

    Args:
        similarity: of some queries to a block of the gallery, (q, b).
        limit: lowest of the best k so far of each query, (q,).
        k: length of the lists.

    Returns:
        Query, place in the block and similarity of each candidate, (c,) each.
    """
    lowest = torch.from_numpy(limit).to(similarity.device)[:, None]
    reaching = similarity >= lowest
    # The first block has no limit yet; later few reach it, and a selection would cost more.
    if similarity.shape[1] >= k and int(reaching.sum()) > _FEW * k * len(similarity):
        kth = similarity.topk(k, dim=1).values[:, -1:]
        reaching = similarity >= torch.maximum(lowest, kth)
    queries, places = reaching.nonzero(as_tuple=True)
    return queries.cpu().numpy(), places.cpu().numpy(), similarity[queries, places].cpu().numpy()


def _merge(
    best: Vectors, rows: Indices, queries: Indices, places: Indices, similarity: Vectors, begin: int
) -> tuple[Vectors, Indices]:
    """The best k of the lists so far and of a block's candidates; among equals the lower row is first.

    So a list depends neither on its length nor on where the blocks begin.

    Args:
        best: similarities so far, (q, k).
        rows: their rows, (q, k).
        queries: query of each candidate, (c,).
        places: its place in the block, (c,).
        similarity: its similarity, (c,).
        begin: row at which the block begins.
    """
    count, k = best.shape
    owners = np.concatenate([np.repeat(np.arange(count), k), queries])
    all_similarity = np.concatenate([best.ravel(), similarity])
    all_rows = np.concatenate([rows.ravel(), places + begin])
    order = np.lexsort((all_rows, -all_similarity, owners))
    ends = np.cumsum(np.bincount(owners, minlength=count))
    starts = np.concatenate([[0], ends[:-1]])
    first_k = order[starts[:, None] + np.arange(k)]
    return all_similarity[first_k], all_rows[first_k]


def drawn_rows(index: Counted, most: int) -> Indices:
    """At most so many rows of an index, ascending, drawn by seed 0."""
    count = min(most, index.ntotal)
    return np.sort(np.random.default_rng(0).choice(index.ntotal, count, replace=False))
