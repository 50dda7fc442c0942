"""The marks nearest to one vector: exactly, by every core, and mostly from a byte to a feature."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from tmssl.retrieval.coarse import Coarse
from tmssl.retrieval.filters import Mask
from tmssl.retrieval.index import adding_index

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_FIRST = 4  # times k, and at least so many marks are looked at exactly
_LEAST = 256
_MORE = 8  # times as many, where those could not be told from the rest
_MOST = 1 / 16  # of the gallery; beyond that all of it is read exactly


def nearest_rows(
    index: faiss.Index, vector: Vectors, k: int, mask: Mask | None, coarse: Coarse | None = None
) -> tuple[Vectors, Rows]:
    """Similarities (k,), falling, and rows (k,) of the marks nearest to a unit vector (1, f).

    Args:
        index: of the gallery.
        vector: what is searched for.
        k: how many, at most the marks that are compared.
        mask: which marks are compared at all, so that the k are exactly those of a gallery without
            the others; None compares all.
        coarse: the same gallery in bytes, which changes what is read but never what is found.
    """
    many = max(_FIRST * k, _LEAST)
    while coarse and many <= _MOST * index.ntotal:
        whole, at_most = coarse.asked(vector)
        products, rows = _scanned(coarse.index, whole, many, mask)
        similarity, found = _among(index, vector, rows)
        if len(rows) < many or similarity[k - 1] > at_most(float(products[-1])):
            return np.clip(similarity[:k], -1, 1), found[:k]
        many *= _MORE
    similarity, rows = _scanned(index, vector, k, mask)
    return np.clip(similarity, -1, 1), rows


def _scanned(
    index: faiss.Index, vector: Vectors, k: int, mask: Mask | None
) -> tuple[Vectors, Rows]:
    """The k largest inner products of a vector (1, d), falling, and their rows; fewer if there are fewer.

    faiss gives one query one core, so each core takes a part of the gallery.
    """
    bounds = np.linspace(0, index.ntotal, faiss.omp_get_max_threads() + 1).astype(int).tolist()
    bits = None if mask is None else np.packbits(mask, bitorder="little")

    def part(begin: int, end: int) -> tuple[Vectors, Rows]:
        chosen: Any = faiss.IDSelectorRange(begin, end)
        if bits is not None:
            chosen = faiss.IDSelectorAnd(chosen, faiss.IDSelectorBitmap(bits))  # type: ignore[call-arg,arg-type]  # its Python wrapper takes an array
        parameters = faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg]  # as above
        found = index.search(vector, k, params=parameters)
        return found[0][0], found[1][0]

    with _single_threads(len(bounds) - 1) as threads:
        parts = list(threads.map(part, bounds[:-1], bounds[1:]))
    similarity = np.concatenate([one for one, _ in parts])
    rows = np.concatenate([one for _, one in parts])
    order = np.lexsort((rows, -similarity))
    order = order[rows[order] >= 0][:k]  # a part with too few fills up with -1
    return similarity[order], rows[order]


def _single_threads(count: int) -> ThreadPoolExecutor:
    """Threads in which faiss starts no others: it would, for one query too, and then wait for them."""
    return ThreadPoolExecutor(count, initializer=faiss.omp_set_num_threads, initargs=(1,))


def _among(index: faiss.Index, vector: Vectors, rows: Rows) -> tuple[Vectors, Rows]:
    """Similarities of some rows, falling, and the rows, by the same sums as a search of all."""
    holder: Any = index  # the stub's general index has no codes
    codes = faiss.rev_swig_ptr(holder.codes.data(), index.ntotal * holder.code_size)
    few: Any = adding_index(index.d)
    few.add_sa_codes(codes.reshape(index.ntotal, -1)[rows])
    with _single_threads(1) as threads:
        similarity, places = threads.submit(few.search, vector, len(rows)).result()
    found = rows[places[0]]
    order = np.lexsort((found, -similarity[0]))
    return similarity[0][order], found[order]
