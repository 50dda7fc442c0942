"""Indexes by faiss's factory strings, for who wants them smaller or faster, and what they lose.

faiss trusts the lengths in a file that it reads, and the kinds are too many to check here. So none is read
from a run's folder, which may be a stranger's: they are kept in the cache of whoever made them.
"""

import hashlib
from pathlib import Path

import faiss
import numpy as np

from tmssl.data.pack.pack import cache_folder
from tmssl.errors import InputError
from tmssl.files import atomic_path
from tmssl.retrieval.index.exact import search_many
from tmssl.text import safe
from tmssl.types import Progress

_SAMPLE = 50_000  # vectors that clusters and codes are learnt from
_AT_ONCE = 1 << 13
_KEPT = 4  # indexes in the cache; one of 538,000 marks may take 1.4 GB
_COMPARED, _K = 200, 10  # queries that the overlap is measured with, and length of their lists


def factory_index(
    exact: faiss.Index, kept: Path, factory: str, progress: Progress | None = None
) -> faiss.Index:
    """The index of a factory string over the vectors of an exact one, kept in the cache and reused.

    Args:
        exact: the run's own index.
        kept: its file, whose name tells it from others.
        factory: `IVF1024,SQ8`, with search parameters after a semicolon: `IVF1024,SQ8;nprobe=32`.
        progress: called with (vectors added, vectors).

    Raises:
        InputError: faiss does not know it, it does not fit the vectors, or the disk is full.
    """
    words, _, parameters = factory.partition(";")
    told = f"{exact.ntotal} {exact.d} {words}"
    name = f"{kept.stem}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.ann"
    path = cache_folder() / "indexes" / name
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as fresh:
                faiss.write_index(_built(exact, words, progress), str(fresh))
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
        if parameters:
            faiss.ParameterSpace().set_index_parameters(index, parameters)  # type: ignore[arg-type]  # its stub knows one of two forms
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"faiss cannot make or read --index '{safe(factory, 80)}': {safe(_reason(error), 200)}"
        ) from error
    newest = sorted(path.parent.glob("*.ann"), key=lambda one: one.stat().st_mtime_ns)
    for old in newest[:-_KEPT]:
        old.unlink(missing_ok=True)
    return index


def _built(exact: faiss.Index, words: str, progress: Progress | None) -> faiss.Index:
    """An index with every vector of the exact one."""
    index = faiss.index_factory(exact.d, words, faiss.METRIC_INNER_PRODUCT)
    count = min(_SAMPLE, exact.ntotal)
    drawn = np.sort(np.random.default_rng(0).choice(exact.ntotal, count, replace=False))
    index.train(exact.reconstruct_batch(drawn))
    for begin in range(0, exact.ntotal, _AT_ONCE):
        vectors = exact.reconstruct_n(begin, min(_AT_ONCE, exact.ntotal - begin))
        index.add(vectors)
        if progress:
            progress(begin + len(vectors), exact.ntotal)
    return index


def _reason(error: Exception) -> str:
    """What faiss said, without where in its sources it said it."""
    return str(error).rpartition("Error: ")[2] or str(error)


def overlap_at_10(exact: faiss.Index, other: faiss.Index) -> float:
    """overlap@10: the share of the ten nearest that both find, mean over 200 marks drawn by seed 0."""
    import torch

    count, k = min(_COMPARED, exact.ntotal), min(_K, exact.ntotal)
    drawn = np.random.default_rng(0).choice(exact.ntotal, count, replace=False)
    queries = exact.reconstruct_batch(drawn)
    truth = search_many(exact, queries, k, torch.device("cpu"))[1]
    found = other.search(queries, k)[1]
    return float(
        np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(truth, found, strict=True)])
    )
