"""Exact search for many queries at once: products of blocks of matrices, on a GPU or a CPU.

faiss decodes half precision anew for each query, which is right for one and slow for hundreds. Here a
block of the gallery is decoded once, on the device, and multiplied with every query.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_GALLERY_AT_ONCE = 1 << 15  # with 1280 features 160 MiB
_FEW = 4  # times k
_QUERIES_AT_ONCE = 1 << 10  # with that, 128 MiB of similarities


def blocked_search(
    index: faiss.Index, queries: Vectors, k: int, device: torch.device,
    progress: Progress | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
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


def _candidates(similar: Tensor, limit: Vectors, k: int) -> tuple[Rows, Rows, Vectors]:
    """Query, place and similarity of all that may be among a query's best, ties with the last included."""
    least = torch.from_numpy(limit).to(similar.device)
    reaching = similar >= least[:, None]
    # The first block has no limit yet; later few reach it, and selecting among all would cost more.
    if similar.shape[1] >= k and int(reaching.sum()) > _FEW * k * len(similar):
        reaching = similar >= torch.maximum(least, similar.topk(k, dim=1).values[:, -1])[:, None]
    queries, places = reaching.nonzero(as_tuple=True)
    return queries.cpu().numpy(), places.cpu().numpy(), similar[queries, places].cpu().numpy()


def merged(
    best: Vectors, rows: Rows, queries: Rows, places: Rows, similarity: Vectors, begin: int
) -> tuple[Vectors, Rows]:
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
