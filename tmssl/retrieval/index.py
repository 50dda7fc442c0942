"""The faiss index: exact inner product on unit vectors, kept in the run and reused."""

import os
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from tmssl.errors import InputError
from tmssl.text import safe

Vectors = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]


def build_index(vectors: Vectors) -> faiss.Index:
    """An exact inner-product index of unit vectors in half precision (overlap@10 with fp32 0.9995).

    `vectors` is float32 (n, d) with rows of norm 1.
    """
    index = faiss.IndexScalarQuantizer(
        vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    index.add(vectors)
    return index


def index_path(folder: Path, checkpoint_sha256: str, fingerprint: str) -> Path:
    """Where the index of one checkpoint over one pack is kept."""
    return folder / f"{checkpoint_sha256[:16]}-{fingerprint[:16]}.faiss"


def save_index(index: faiss.Index, path: Path) -> None:
    """Write an index; it appears complete or not at all."""
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        faiss.write_index(index, str(fresh))
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def open_index(path: Path) -> faiss.Index:
    """A kept index, mapped into memory rather than read.

    Raises:
        InputError: it is damaged.
    """
    try:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    except RuntimeError as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and evaluate again"
        ) from error


def search(index: faiss.Index, queries: Vectors, own: Rows, k: int) -> tuple[Vectors, Rows]:
    """The k nearest rows of each query by cosine, the query itself left out.

    Args:
        index: of the gallery.
        queries: (q, d), unit rows.
        own: the gallery row that is each query itself, (q,).
        k: length of the lists; at most the gallery less one.

    Returns:
        Similarities (q, k), falling, and rows (q, k).
    """
    similarity, rows = index.search(queries, k + 1)
    others = rows != own[:, None]
    # Where a query is not among its own nearest (ties of duplicates), the last one goes.
    full = others.all(1)
    others[full, -1] = False
    shape = (len(queries), k)
    return similarity[others].reshape(shape), rows[others].reshape(shape)


def mate_ranks(vectors: Vectors, query: int, mates: Rows) -> Rows:
    """Ranks of some marks in the list of a query, from 1, ascending, ties counted worst.

    The query itself is left out of the list.
    """
    similarity = vectors @ vectors[query]
    similarity[query] = -np.inf
    others = mates[mates != query]
    return np.sort([int((similarity >= similarity[mate]).sum()) for mate in others]).astype(
        np.int64
    )
