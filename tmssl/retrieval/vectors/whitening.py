"""PCA-whitening of embeddings: directions of small variance count as much as those of large variance.

A network's features share a few strong directions, which hide the small differences that tell one mark
from another. Whitening subtracts the gallery's mean, projects on its principal axes, keeps the strongest of
them and divides each by its standard deviation (Jégou and Chum 2012). It needs no label.
"""

import dataclasses
from pathlib import Path

import faiss
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tmssl.data.phash import l2_normalize
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.index.faiss_index import empty_index, open_index, write_index
from tmssl.text import safe
from tmssl.types import Progress, Vectors

_VERSION = 2  # raise it when vectors come out differently
_SAMPLE = 1 << 16  # vectors that the axes are learnt from; with 1280 features 320 MiB
_BLOCK = 1 << 13  # vectors that are whitened together; with 1280 features 40 MiB
_RESOLVED = 1e-7  # variance, in shares of the largest, that float32 tells from rounding
_ROUNDING = 1e-16  # variance that rounding makes of equal vectors


@dataclasses.dataclass(frozen=True)
class Whitening:
    """Statistics of a gallery of unit vectors of d features, m of which are kept."""

    centre: Vectors
    """(d,)"""
    axes: Vectors
    """(d, m), each column divided by the standard deviation along it, strongest first"""

    def __call__(self, vectors: Vectors) -> Vectors:
        """Unit vectors (n, m) of unit vectors (n, d)."""
        return l2_normalize((vectors - self.centre) @ self.axes)


def fit_whitening(vectors: Vectors, features: int) -> Whitening:
    """The whitening of a gallery, learnt from at most 65,536 of its vectors, drawn by seed 0.

    Args:
        vectors: float16 or float32 (n, d).
        features: how many to keep; directions without variance are never kept.
    """
    count, width = vectors.shape
    rows = np.arange(count)
    if count > _SAMPLE:
        rows = np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))
    sample = vectors[rows].astype(np.float32)
    centre = sample.mean(0, dtype=np.float64).astype(np.float32)
    sample -= centre  # faiss would lose digits: it subtracts the mean from the covariance
    pca = faiss.PCAMatrix(width, min(features, width, max(1, len(rows) - 1)), -0.5)
    pca.max_points_per_d = len(rows)  # faiss samples no further
    pca.epsilon = _ROUNDING * len(rows)
    pca.train(sample)
    variance = faiss.vector_to_array(pca.eigenvalues) / len(rows)
    varying = np.count_nonzero(variance > max(_RESOLVED * variance[0], _ROUNDING))
    pca.d_out = max(1, min(pca.d_out, int(varying)))
    pca.prepare_Ab()
    axes = faiss.vector_to_array(pca.A).reshape(pca.d_out, width).T * np.sqrt(len(rows))
    return Whitening(centre, np.ascontiguousarray(axes, np.float32))


def whitened_index(
    exact: faiss.Index, path: Path, features: int, progress: Progress | None = None
) -> tuple[faiss.Index, Whitening, Path]:
    """The whitened index of a run's own index, the whitening of its queries, and its file.

    Both are kept beside the index, named after it, and are removed with it.

    Args:
        exact: the run's own index.
        path: its file.
        features: how many to keep.
        progress: called with (vectors whitened, vectors).

    Raises:
        InputError: a kept file is damaged, or the disk is full.
    """
    target = path.with_name(f"{path.stem}-whitened{_VERSION}x{features}.ann")
    statistics = target.with_suffix(".whitening")
    if not target.exists() or not statistics.exists():
        vectors = half_vectors(exact).numpy()
        whitening = fit_whitening(vectors, features)
        index = empty_index(whitening.axes.shape[1])
        for begin in range(0, len(vectors), _BLOCK):
            index.add(whitening(vectors[begin : begin + _BLOCK].astype(np.float32)))
            if progress:
                progress(index.ntotal, len(vectors))
        write_atomic(statistics, save({"centre": whitening.centre, "axes": whitening.axes}))
        write_index(index, target)
    whitening, index = _read_whitening(statistics, exact.d), open_index(target)
    if (index.d, index.ntotal) != (whitening.axes.shape[1], exact.ntotal):
        raise InputError(f"{safe(target)} is damaged or of another index; remove it and try again")
    return index, whitening, target


def _read_whitening(path: Path, width: int) -> Whitening:
    """A kept whitening of vectors of some width.

    Raises:
        InputError: it is damaged, a link, or for vectors of another width.
    """
    try:
        if path.is_symlink():
            raise InputError(f"{safe(path)} is a link, which is not followed; remove it")
        arrays = load(path.read_bytes())
        centre, axes = arrays["centre"], arrays["axes"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and try again"
        ) from error
    fits = centre.shape == (width,) and axes.ndim == 2 and axes.shape[0] == width
    if not fits or centre.dtype != np.float32 or axes.dtype != np.float32:
        raise InputError(f"{safe(path)} is for other vectors; remove it and try again")
    return Whitening(centre, axes)
