"""Approximate indexes by faiss's factory strings, smaller or faster, and how much of exact search they return.

faiss trusts the lengths in a file that it reads, and the kinds are too many to check here. So none is read
from a run's folder, which may be a stranger's: they are kept in the user's own cache.
"""

import hashlib
import re
from pathlib import Path

import faiss
import numpy as np

from tmssl.errors import InputError
from tmssl.files import atomic_path, cache_folder, unicode_path
from tmssl.retrieval.index.exact import drawn_rows, search_many
from tmssl.retrieval.index.regional_search import RegionRows
from tmssl.text import safe
from tmssl.types import Indices, Progress, Vectors

_PART = re.compile(
    r"(IVF|OPQ|PQ|HNSW|NSG|PCAR|PCAWR|PCAW|PCA|ITQ|RQ|LSQ|Pad|RR)(\d{1,9})(_(\d{1,9}))?"
)
_NARROWING = ("PCAR", "PCAWR", "PCAW", "PCA", "ITQ", "Pad", "RR")
_PARAMETER = re.compile(r"(?<!\w)(\w++)=(-?\d{1,9}(?:\.\d{1,9})?)")
_TRAINING_SAMPLE = 50_000  # vectors that clusters and codes are learnt from
_VECTOR_BLOCK = 1 << 13
_QUERY_BLOCK = 256
_MOST_CACHED = 4  # indexes; one of 538,000 marks may take 1.4 GB
_OVERLAP_QUERIES, _OVERLAP_K = 200, 10


def factory_index(
    exact: faiss.Index | RegionRows, path: Path, factory: str, progress: Progress | None = None
) -> faiss.Index:
    """The index of a factory string over the vectors of an exact one, kept in the cache and reused.

    Args:
        exact: the run's own index, or every region of its marks.
        path: its file, whose name identifies its vectors.
        factory: `IVF1024,SQ8`, with search parameters after a semicolon: `IVF1024,SQ8;nprobe=32`.
        progress: called with (vectors added, vectors).

    Raises:
        InputError: faiss does not know it, it does not fit the vectors, or the disk is full.
    """
    structure, _, parameters = factory.partition(";")
    check_factory(factory, exact.d, exact.ntotal)
    digest = hashlib.sha256(f"{exact.ntotal} {exact.d} {structure}".encode()).hexdigest()
    cached = cache_folder() / "indexes" / f"{path.stem}-{digest[:12]}.ann"
    try:
        if not cached.exists():
            cached.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(cached) as fresh, unicode_path(fresh) as name:
                faiss.write_index(_build(exact, structure, progress), name)
        with unicode_path(cached) as name:
            index = faiss.read_index(name, faiss.IO_FLAG_MMAP)
        if parameters:
            faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]  # its stub knows one of two forms
    except (RuntimeError, OSError) as error:
        # faiss says where in its sources it failed before it says why.
        reason = str(error).rpartition("Error: ")[2] or str(error)
        raise InputError(
            f"faiss cannot make or read --index '{safe(factory, 80)}': {safe(reason, 200)}"
        ) from error
    newest = sorted(cached.parent.glob("*.ann"), key=lambda file: file.stat().st_mtime_ns)
    for old in newest[:-_MOST_CACHED]:
        old.unlink(missing_ok=True)
    return index


def check_factory(factory: str, features: int, marks: int) -> None:
    """Refuse a factory string of zero lists, codes or probes, at which faiss divides by zero or stops.

    Args:
        factory: as for `factory_index`.
        features: width of the vectors.
        marks: number of the vectors.

    Raises:
        InputError: it names a part that is zero, codes that the features cannot be split into, or more
            lists than there are marks.
    """
    structure, _, parameters = factory.partition(";")
    shown = f"--index '{safe(factory, 80)}'"
    for kind, number, _, wide in _PART.findall(structure):
        if not int(number) or (wide and not int(wide)):
            raise InputError(f"{shown} has a {kind} of 0; give at least 1")
        if kind == "IVF" and int(number) > marks:
            raise InputError(
                f"{shown} wants {number} lists for {marks} marks; give at most IVF{marks}, or leave "
                "--index out: the exact search of so few is instant"
            )
        width = int(wide or features)
        if kind in ("PQ", "OPQ") and width % int(number):
            raise InputError(
                f"{shown} splits {width} features into {number} codes, which leaves a rest; give a "
                f"{kind} that divides {width}"
            )
        if kind in _NARROWING:
            features = int(number)
        elif wide:
            features = width
    for name, value in _PARAMETER.findall(parameters):
        if float(value) <= 0:
            raise InputError(
                f"{shown} sets {name} to {value}, which finds nothing; give at least 1"
            )


def _build(
    exact: faiss.Index | RegionRows, structure: str, progress: Progress | None
) -> faiss.Index:
    """An index with every vector of the exact one."""
    index = faiss.index_factory(exact.d, structure, faiss.METRIC_INNER_PRODUCT)
    index.train(exact.reconstruct_batch(drawn_rows(exact, _TRAINING_SAMPLE)))
    for begin in range(0, exact.ntotal, _VECTOR_BLOCK):
        index.add(exact.reconstruct_n(begin, min(_VECTOR_BLOCK, exact.ntotal - begin)))
        if progress:
            progress(index.ntotal, exact.ntotal)
    return index


def search_approximate(
    exact: faiss.Index,
    approximate: faiss.Index,
    queries: Vectors,
    k: int,
    progress: Progress | None = None,
) -> tuple[Vectors, Indices]:
    """At most k nearest rows of each query by an approximate index, ranked by the exact similarities.

    Args:
        exact: gives the similarities.
        approximate: gives the rows.
        queries: float32 (q, d).
        k: length of the lists.
        progress: called with (queries done, q).

    Returns:
        Similarities (q, k), falling, and rows (q, k); -inf and -1 where no more are found.
    """
    similarity = np.full((len(queries), k), -np.inf, np.float32)
    rows = np.empty((len(queries), k), np.int64)
    for begin in range(0, len(queries), _QUERY_BLOCK):
        block = queries[begin : begin + _QUERY_BLOCK]
        rows[begin : begin + len(block)] = approximate.search(block, k)[1]
        for i in range(begin, begin + len(block)):
            found = rows[i] >= 0
            similarity[i, found] = exact.reconstruct_batch(rows[i, found]) @ queries[i]
        if progress:
            progress(begin + len(block), len(queries))
    order = np.lexsort((rows, -similarity))
    return np.take_along_axis(similarity, order, 1), np.take_along_axis(rows, order, 1)


def overlap_at_10(exact: faiss.Index, other: faiss.Index) -> float:
    """The share of the ten nearest that both indexes return, mean over 200 marks drawn by seed 0."""
    k = min(_OVERLAP_K, exact.ntotal)
    queries = exact.reconstruct_batch(drawn_rows(exact, _OVERLAP_QUERIES))
    expected, found = search_many(exact, queries, k)[1], other.search(queries, k)[1]
    shared = [len(np.intersect1d(*pair)) / k for pair in zip(expected, found, strict=True)]
    return float(np.mean(shared))
