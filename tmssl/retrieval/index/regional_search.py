"""Search by several vectors a mark: one similarity for each, that of the two regions that are most alike.

That of a part counts less, and that of two parts still less: there are many pairs of parts, and parts, such as a
stroke, are alike in many marks. docs/experiments.md compares this with other rules.
"""

import dataclasses
from typing import Any, NamedTuple

import faiss
import numpy as np
import numpy.typing as npt

from tmssl.errors import InputError
from tmssl.retrieval.index.exact import drawn_rows, map_ranges
from tmssl.retrieval.index.regional import Bits, Penalties, RegionalIndex, sign_bits
from tmssl.types import Indices, Mask, Vectors

BLOCK = 1 << 11
"""marks whose vectors are in memory; with 9 regions of 1,024 features 75 MiB"""
_WHOLE_SHARE = 1e-4  # of the cosine of the wholes, which orders marks that share the same part
_SHORTLIST = 400  # marks that are ranked by cosines, at least
_WHOLES = 4  # for each so many of them, one mark that is near by the wholes alone
_OVERLAP_QUERIES = 50
_PER_REGION = 100  # vectors that an approximate index gives for each region of a query, at least
_PER_MATCH = 10  # the same for each mark that is wanted


def search_regions(
    index: RegionalIndex, query: Vectors, k: int, mask: Mask | None = None
) -> tuple[Vectors, Indices]:
    """The marks nearest to a query by the regions of both.

    Args:
        index: of the gallery.
        query: unit vectors of the query's regions, (q, f), that of the whole first.
        k: marks wanted, at most those that are compared.
        mask: the marks that are compared, bool (marks,); None compares all.

    Returns:
        Similarities (k,), falling, and rows (k,); among equals the lower row is first. An approximate
        index may give fewer.

    Raises:
        InputError: the file of the vectors is damaged.
    """
    if index.approximate is None or mask is not None:
        rows = nearest_signs(index, query, max(_SHORTLIST, _PER_MATCH * k), mask)
    else:
        found = index.approximate.search(query, max(_PER_REGION, _PER_MATCH * k))[1]
        rows = np.unique(found[found >= 0] // index.regions)
    similarity = compare_rows(index, query, rows)[0]
    order = np.lexsort((rows, -similarity))[:k]
    return similarity[order], rows[order]


def compare_rows(index: RegionalIndex, query: Vectors, rows: Indices) -> tuple[Vectors, Indices]:
    """`compare` a query with the marks of some rows, a block at a time.

    Raises:
        InputError: the file of the vectors is damaged.
    """
    blocks = [rows[begin : begin + BLOCK] for begin in range(0, len(rows), BLOCK)] or [rows]
    compared = [compare(query, decode(index, block)) for block in blocks]
    similarity, pairs = zip(*compared, strict=True)
    return np.concatenate(similarity), np.concatenate(pairs)


class Decoded(NamedTuple):
    """Unit vectors of some marks in float32."""

    whole: Vectors
    """(n, f)"""
    parts: Vectors
    """of the other regions, (n, r - 1, f)"""
    missing: Mask
    """which of these the marks lack, (n, r - 1)"""
    penalties: Penalties


def decode(index: RegionalIndex, rows: Indices) -> Decoded:
    """The vectors of some marks.

    Raises:
        InputError: their file is damaged.
    """
    codes = index.codes[rows]
    if not np.array_equal(sign_bits(codes).swapaxes(0, 1), index.bits[1:, rows]):
        raise InputError(
            "the vectors of the marks' regions are damaged; remove index/*-regions* of the run"
        )
    parts = codes.astype(np.float32)
    norms = np.linalg.norm(parts, axis=2, keepdims=True)
    parts /= np.maximum(norms, 1.0)  # the largest feature of one that is there is 127
    return Decoded(index.whole.reconstruct_batch(rows), parts, norms[:, :, 0] == 0, index.penalties)


def compare(query: Vectors, marks: Decoded) -> tuple[Vectors, Indices]:
    """The similarity of a query to some marks, and by which two regions.

    Args:
        query: unit vectors of the query's regions, (q, f), that of the whole first.
        marks: n of them.

    Returns:
        Similarities (n,), and pairs (n,): the number of the query's region times r, and that of the mark's.
    """
    count, parts, features = marks.parts.shape
    cosines = np.empty((count, len(query), parts + 1), np.float32)
    cosines[:, :, 0] = marks.whole @ query.T
    cosines[:, 1:, 0] -= marks.penalties.part
    of_parts = (marks.parts.reshape(-1, features) @ query.T).reshape(count, parts, len(query))
    of_parts[:, :, 0] -= marks.penalties.part
    of_parts[:, :, 1:] -= marks.penalties.parts
    of_parts[marks.missing] = -np.inf
    cosines[:, :, 1:] = of_parts.swapaxes(1, 2)
    flat = cosines.reshape(count, -1)
    pairs = flat.argmax(1)
    best = flat[np.arange(count), pairs] + _WHOLE_SHARE * (marks.whole @ query[0])
    return np.clip(best, -1, 1), pairs


def region_vectors(index: RegionalIndex, row: int) -> Vectors:
    """The vectors of a mark's regions as a query, (q, f), that of the whole first."""
    mark = decode(index, np.array([row]))
    return np.concatenate([mark.whole, mark.parts[~mark.missing]])


def nearest_signs(
    index: RegionalIndex, query: Vectors, count: int, mask: Mask | None = None
) -> Indices:
    """The marks of the least Hamming distance between signs of features, ascending rows.

    The whole query is compared with every region of a mark, and every region of the query with the
    whole mark: parts with parts would take several times as long. The nearest by the wholes alone are
    among them in any case: of many regions some are alike by chance, and would crowd these out.

    Args:
        index: of the gallery.
        query: unit vectors of the query's regions, (q, f), that of the whole first.
        count: how many marks, and at most a quarter more for those by the wholes; all where there are no more.
        mask: the marks that are compared, bool (marks,); None compares all.
    """
    rows = np.arange(index.whole.ntotal) if mask is None else np.flatnonzero(mask)
    if len(rows) <= count:
        return rows
    signs = sign_bits(query)

    def scan(begin: int, end: int) -> npt.NDArray[np.int32]:
        to_wholes = _hamming(signs, index.bits[0, begin:end])
        least = to_wholes.min(0)
        for region in index.bits[1:]:
            np.minimum(least, _hamming(signs[:1], region[begin:end])[0], out=least)
        return np.stack([to_wholes[0], least])

    by_whole, by_least = np.concatenate(map_ranges(scan, index.whole.ntotal), axis=1)[:, rows]
    nearest = np.argpartition(by_least, count)[:count]
    by_wholes = np.argpartition(by_whole, count // _WHOLES)[: count // _WHOLES]
    return rows[np.union1d(nearest, by_wholes)]


def _hamming(signs: Bits, others: Bits) -> npt.NDArray[np.int32]:
    """Differing bits of each (q, b) and each (n, b), (q, n)."""
    distance = np.empty((len(signs), len(others)), np.int32)
    swig: Any = faiss  # its stub has no hammings
    pointers = map(faiss.swig_ptr, (signs, others))
    swig.hammings(*pointers, *distance.shape, signs.shape[1], faiss.swig_ptr(distance))
    return distance


class RegionRows:
    """Every region of every mark as one list of vectors, those of a mark in a row, as faiss's indexes give theirs."""

    def __init__(self, index: RegionalIndex) -> None:
        self._index = index
        self.d = index.whole.d
        """features"""
        self.ntotal = index.whole.ntotal * index.regions
        """vectors"""

    def reconstruct_batch(self, rows: Indices) -> Vectors:
        """Some vectors, (n, d); zeros for regions that a mark lacks."""
        marks, regions = np.divmod(rows, self._index.regions)
        needed, places = np.unique(marks, return_inverse=True)
        vectors = decode(self._index, needed)
        all_regions = np.concatenate([vectors.whole[:, None], vectors.parts], axis=1)
        chosen: Vectors = all_regions[places, regions]
        return chosen

    def reconstruct_n(self, begin: int, count: int) -> Vectors:
        """Consecutive vectors."""
        return self.reconstruct_batch(np.arange(begin, begin + count))


def regional_overlap_at_10(index: RegionalIndex) -> float:
    """The share of the ten nearest that the approximate index gives too, mean over 50 marks drawn by seed 0."""
    exact = dataclasses.replace(index, approximate=None)
    shared = []
    for row in drawn_rows(index.whole, _OVERLAP_QUERIES).tolist():
        query = region_vectors(index, row)
        expected, found = (
            search_regions(one, query, min(10, index.whole.ntotal))[1] for one in (exact, index)
        )
        shared.append(len(np.intersect1d(expected, found)) / len(expected))
    return float(np.mean(shared))
