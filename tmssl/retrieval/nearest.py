"""The marks nearest to one vector: exactly, by every core, and mostly from a tenth of the numbers."""

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from tmssl.retrieval.filters import Mask
from tmssl.retrieval.index import adding_index
from tmssl.retrieval.principal import Principal

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

_FIRST = 8  # times k, and at least so many marks are looked at exactly
_LEAST = 512
_MORE = 8  # times as many, where those could not be told from the rest
_MOST = 1 / 16  # of the gallery; beyond that all of it is read exactly


def nearest_rows(
    index: faiss.Index, vector: Vectors, k: int, mask: Mask | None,
    principal: Principal | None = None,
) -> tuple[Vectors, Rows]:  # fmt: skip
    """Similarities (k,), falling, and rows (k,) of the marks nearest to a unit vector (1, f).

    Args:
        index: of the gallery.
        vector: what is searched for.
        k: how many, at most the marks that are compared.
        mask: which marks are compared at all, so that the k are exactly those of a gallery without
            the others; None compares all.
        principal: the same gallery along its leading directions, which changes what is read but
            never what is found.
    """
    many = max(_FIRST * k, _LEAST)
    while principal and many <= _MOST * index.ntotal:
        bounds, rows = _scanned(principal.index, principal.bounding(vector), many, mask)
        similarity, found = _among(index, vector, rows)
        if len(rows) < many or similarity[k - 1] > bounds[-1] + principal.off:
            return np.clip(similarity[:k], -1, 1), found[:k]
        if bounds[-1] - similarity[k - 1] > bounds[0] - bounds[-1]:
            break  # bounds fall so slowly that more of them would not tell either
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

    parts = list(_single_threads().map(part, bounds[:-1], bounds[1:]))
    similarity = np.concatenate([one for one, _ in parts])
    rows = np.concatenate([one for _, one in parts])
    order = np.lexsort((rows, -similarity))
    order = order[rows[order] >= 0][:k]  # a part with too few fills up with -1
    return similarity[order], rows[order]


@functools.cache
def _single_threads() -> ThreadPoolExecutor:
    """Threads in which faiss starts no others: it would, for one query too, and then wait for them."""
    count = faiss.omp_get_max_threads()
    return ThreadPoolExecutor(count, initializer=faiss.omp_set_num_threads, initargs=(1,))


def _among(index: faiss.Index, vector: Vectors, rows: Rows) -> tuple[Vectors, Rows]:
    """Similarities of some rows, falling, and the rows, by the same sums as a search of all."""
    holder: Any = index  # the stub's general index has no codes
    codes = faiss.rev_swig_ptr(holder.codes.data(), index.ntotal * holder.code_size)
    few: Any = adding_index(index.d)
    few.add_sa_codes(codes.reshape(index.ntotal, -1)[rows])
    similarity, places = _single_threads().submit(few.search, vector, len(rows)).result()
    found = rows[places[0]]
    order = np.lexsort((found, -similarity[0]))
    return similarity[0][order], found[order]
