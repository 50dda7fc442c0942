"""PCA-whitening of features: directions of small variance count as much as those of large variance.

A network's features share a few strong directions, which hide the small differences that tell one mark
from another. Whitening subtracts the mean, projects on the principal axes, keeps the strongest of them and
divides each by its standard deviation (Jégou and Chum 2012). It needs no label.
"""

import dataclasses

import numpy as np
import torch

from tmssl.data.phash import l2_normalize
from tmssl.data.threads import lone_threads
from tmssl.types import Floats, Vectors

_SAMPLE = 1 << 16  # vectors that the axes are learnt from; with 1280 features 320 MiB
_BLOCK = 1 << 12  # vectors whose products are summed in float32
_RESOLVED = 1e-7  # variance, in shares of the largest, that float32 tells from rounding
_ROUNDING = 1e-16  # variance that rounding makes of equal vectors


@dataclasses.dataclass(frozen=True)
class Whitening:
    """Statistics of unit vectors of d features, m of which are kept."""

    centre: Vectors
    """(d,)"""
    axes: Vectors
    """(d, m), each column divided by the standard deviation along it, strongest first"""

    def __call__(self, vectors: Vectors) -> Vectors:
        """Unit vectors (n, m) of unit vectors (n, d)."""
        return l2_normalize((vectors - self.centre) @ self.axes)


def fit_whitening(vectors: Vectors, features: int) -> Whitening:
    """The whitening of some vectors, learnt from at most 65,536 of them, drawn by seed 0.

    It is the same to the bits for any number of cores, since what is computed with it may be kept for long.

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
    variance, axes = _principal_axes(sample - centre)
    kept = min(features, width, max(1, len(rows) - 1))
    kept = min(kept, np.count_nonzero(variance > max(_RESOLVED * variance[0], _ROUNDING)))
    kept = max(1, kept)
    scaled = axes[:, :kept] / np.sqrt(np.maximum(variance[:kept], _ROUNDING))
    return Whitening(centre, np.ascontiguousarray(scaled, np.float32))


def _principal_axes(centred: Vectors) -> tuple[Floats, Floats]:
    """Variances, largest first, and unit axes (d, m) of centred vectors (n, d)."""
    with lone_threads(1, "whitening") as thread:
        return thread.submit(_decomposed, centred).result()


def _decomposed(centred: Vectors) -> tuple[Floats, Floats]:
    """The same, by torch, whose threads can be told to compute alone; those of numpy cannot."""
    count, width = centred.shape
    if count >= width:
        variance, axes = torch.linalg.eigh(_covariance(torch.from_numpy(centred)))
        return variance.flip(0).numpy(), axes.flip(1).numpy()
    # The products of the vectors with each other have the same eigenvalues, and fewer of them.
    vectors = torch.from_numpy(centred).double()
    variance, weights = torch.linalg.eigh(vectors @ vectors.T / count)
    variance, weights = variance.flip(0).clamp(min=0), weights.flip(1)
    axes = vectors.T @ weights / (count * variance).clamp(min=_ROUNDING).sqrt()
    return variance.numpy(), axes.numpy()


def _covariance(centred: torch.Tensor) -> torch.Tensor:
    """The covariance (d, d) of centred vectors (n, d), summed in float64 over blocks."""
    width = centred.shape[1]
    total = torch.zeros((width, width), dtype=torch.float64)
    for block in torch.split(centred, _BLOCK):
        total += block.T @ block
    return total / len(centred)
