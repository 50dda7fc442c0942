"""A perceptual hash: what a comparison of marks is worth without any training."""

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

Vectors = npt.NDArray[np.float32]

_SIDE, _KEEP = 32, 8  # the classical pHash: 8 x 8 low frequencies of a 32 x 32 image
HASH_BITS = _KEEP**2


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Rows scaled to norm 1; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def hash_vectors(grey: Tensor) -> Vectors:
    """64-bit perceptual hashes as unit vectors of +-1/8: cosine is 1 - Hamming / 32.

    The sign of the lowest 8 x 8 frequencies of the cosine transform about their median (pHash,
    Zauner 2010); bit 0, the mean, is part of it as in the classical hash.

    Args:
        grey: brightness, float32 (n, h, w) on any scale.
    """
    frequency, place = np.arange(_KEEP)[:, None], np.arange(_SIDE)[None, :]
    transform = np.cos(np.pi * frequency * (place + 0.5) / _SIDE)
    small = functional.interpolate(
        grey.cpu()[:, None], (_SIDE, _SIDE), mode="bilinear", antialias=True
    )[:, 0].numpy()
    spectrum = (transform @ small @ transform.T).reshape(len(small), -1)
    bits = spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True)
    return unit(np.where(bits, 1.0, -1.0))
