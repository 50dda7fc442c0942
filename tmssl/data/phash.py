"""A perceptual hash: what a comparison of marks is worth without any training."""

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

from tmssl.data.spectrum import HASH_BITS, SIDE, low_frequencies
from tmssl.types import Vectors

__all__ = ["HASH_BITS", "hash_vectors", "unit"]


def unit(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Rows scaled to norm 1; a row of zeros stays one."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def hash_vectors(grey: Tensor) -> Vectors:
    """64-bit perceptual hashes as unit vectors of +-1/8: cosine is 1 - Hamming / 32.

    Args:
        grey: brightness, float32 (n, h, w) on any scale.
    """
    small = functional.interpolate(
        grey.cpu()[:, None], (SIDE, SIDE), mode="bilinear", antialias=True
    )[:, 0].numpy()
    return unit(np.where(low_frequencies(small), 1.0, -1.0))
