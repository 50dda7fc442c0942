"""PCA-whitening of finished vectors: rarely used directions count as much as those that every mark uses.

A network's features share a few strong directions, which hide the small differences that tell one mark
from another. Whitening takes the mean of the gallery out, turns its vectors to their principal axes,
keeps the strongest of them and divides each by its deviation (Jégou and Chum 2012). It needs no label.
"""

import dataclasses
from pathlib import Path

import faiss
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from tmssl.data.phash import unit
from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.retrieval.index.exact import half_vectors
from tmssl.retrieval.index.faiss_index import empty_index, open_index, write_index
from tmssl.text import safe
from tmssl.types import Progress, Vectors

_VERSION = 1  # raise it when vectors come out differently
_SAMPLE = 1 << 16  # vectors that the axes are learnt from
_AT_ONCE = 1 << 13  # with 1280 features 40 MiB
_LEAST = 1e-10  # variance, in shares of the largest, of a direction that varies
_ROUNDING = 1e-16  # variance of what single precision makes of equal vectors


@dataclasses.dataclass(frozen=True)
class Whitening:
    """What was learnt from a gallery of unit vectors of d features, m of which are kept."""

    centre: Vectors
    """(d,)"""
    axes: Vectors
    """(d, m), each column divided by the deviation along it, strongest first"""

    def __call__(self, vectors: Vectors) -> Vectors:
        """Unit vectors (n, m) of unit vectors (n, d)."""
        return unit((vectors - self.centre) @ self.axes)


def fit_whitening(vectors: Vectors, kept: int) -> Whitening:
    """The whitening of a gallery, learnt from at most 65,536 of its vectors, drawn by seed 0.

    Args:
        vectors: float16 or float32 (n, d).
        kept: features wanted; no more are kept than vary.
    """
    count = len(vectors)
    if count > _SAMPLE:
        drawn = np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))
    else:
        drawn = np.arange(count)
    parts = np.array_split(drawn, -(-len(drawn) // _AT_ONCE))
    width = vectors.shape[1]
    centre = sum((vectors[rows].sum(0, dtype=np.float64) for rows in parts), np.zeros(width))
    centre /= len(drawn)
    spread = np.zeros((width, width))
    for rows in parts:
        moved = vectors[rows] - centre.astype(np.float32)
        spread += moved.T @ moved
    variance, axes = np.linalg.eigh(spread / len(drawn))  # rising
    variance, axes = variance[::-1], axes[:, ::-1]
    least = max(_LEAST * variance[0], _ROUNDING)
    able = int(np.count_nonzero(variance > least))
    strongest = slice(max(1, min(kept, able, len(drawn) - 1)))
    scaled = axes[:, strongest] / np.sqrt(np.maximum(variance[strongest], least))
    return Whitening(centre.astype(np.float32), np.ascontiguousarray(scaled, np.float32))


def whitened_index(
    exact: faiss.Index, path: Path, kept: int, progress: Progress | None = None
) -> tuple[faiss.Index, Whitening, Path]:
    """The whitened index of a run's own index, what whitens a query for it, and its file.

    Both lie beside the index, named after it, and are used again; they go when it goes.

    Args:
        exact: the run's own index.
        path: its file.
        kept: features wanted.
        progress: called with (vectors whitened, vectors).

    Raises:
        InputError: a kept file is damaged, or the disk is full.
    """
    target = path.with_name(f"{path.stem}-whitened{_VERSION}x{kept}.ann")
    learnt = target.with_suffix(".whitening")
    if not target.exists() or not learnt.exists():
        held = half_vectors(exact).numpy()
        whitening = fit_whitening(held, kept)
        index = empty_index(whitening.axes.shape[1])
        for begin in range(0, len(held), _AT_ONCE):
            index.add(whitening(held[begin : begin + _AT_ONCE].astype(np.float32)))
            if progress:
                progress(index.ntotal, len(held))
        write_atomic(learnt, save({"centre": whitening.centre, "axes": whitening.axes}))
        write_index(index, target)
    whitening, index = _read_whitening(learnt, exact.d), open_index(target)
    if (index.d, index.ntotal) != (whitening.axes.shape[1], exact.ntotal):
        raise InputError(f"{safe(target)} is damaged or of another index; remove it and try again")
    return index, whitening, target


def _read_whitening(path: Path, features: int) -> Whitening:
    """A kept whitening.

    Raises:
        InputError: it is damaged, or for vectors of another width.
    """
    try:
        if path.is_symlink():
            raise InputError(f"{safe(path)} is a link, which is not followed; remove it")
        told = load(path.read_bytes())
        centre, axes = told["centre"], told["axes"]
    except (OSError, SafetensorError, KeyError) as error:
        raise InputError(
            f"{safe(path)} is damaged ({safe(error, 100)}); remove it and try again"
        ) from error
    fits = centre.shape == (features,) and axes.ndim == 2 and axes.shape[0] == features
    if not fits or centre.dtype != np.float32 or axes.dtype != np.float32:
        raise InputError(f"{safe(path)} is for other vectors; remove it and try again")
    return Whitening(centre, axes)
