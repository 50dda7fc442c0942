"""Perceptual hashes: as bits, as 64-bit words and as unit vectors.

numpy only: the workers that survey images import this, and torch would cost each of them a second.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tmssl.types import Hashes, Vectors

if TYPE_CHECKING:
    from torch import Tensor

HASH_SIDE, _KEPT = 32, 8  # the classical pHash: the lowest 8 x 8 frequencies of a 32 x 32 image
HASH_BITS = _KEPT**2

_ONES = np.array([bin(word).count("1") for word in range(1 << 16)], dtype=np.uint8)


def hash_bits(small: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Perceptual hashes as bits, (n, 64).

    A bit is the sign of one of the lowest 8 x 8 frequencies of the cosine transform about their
    median (pHash, Zauner 2010); bit 0, the mean, is included as in the classical hash.

    Args:
        small: brightness on any scale, (n, 32, 32).
    """
    frequency, position = np.arange(_KEPT)[:, None], np.arange(HASH_SIDE)[None, :]
    transform = np.cos(np.pi * frequency * (position + 0.5) / HASH_SIDE)
    spectrum = (transform @ small @ transform.T).reshape(len(small), -1)
    return spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True)


def pack_bits(bits: npt.NDArray[np.bool_]) -> Hashes:
    """Rows of 64 bits as one word each, (n,)."""
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def hamming_distances(first: Hashes, second: Hashes) -> npt.NDArray[np.uint8]:
    """The number of bits in which two columns of words differ, row by row, (n,)."""
    quarters = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(-1, 4)
    return _ONES[quarters].sum(1, dtype=np.uint8)


def l2_normalize(vectors: npt.NDArray[np.floating]) -> Vectors:
    """Rows scaled to norm 1; a row of zeros stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.ascontiguousarray(vectors / np.maximum(norms, 1e-12), dtype=np.float32)


def hash_vectors(grey: "Tensor") -> Vectors:
    """64-bit perceptual hashes as unit vectors of +-1/8: cosine is 1 - Hamming / 32.

    Args:
        grey: brightness, float32 (n, h, w) on any scale.
    """
    from torch.nn import functional

    small = functional.interpolate(
        grey.cpu()[:, None], (HASH_SIDE, HASH_SIDE), mode="bilinear", antialias=True
    )[:, 0].numpy()
    return l2_normalize(np.where(hash_bits(small), 1.0, -1.0))
