"""The signs of an image's low frequencies: a perceptual hash, and how far two of them are apart."""

import numpy as np
import numpy.typing as npt

from tmssl.types import Hashes

SIDE, KEEP = 32, 8  # the classical pHash: 8 x 8 low frequencies of a 32 x 32 image
HASH_BITS = KEEP**2


_ONES = np.array([bin(word).count("1") for word in range(1 << 16)], dtype=np.uint8)


def low_frequencies(small: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Perceptual hashes as bits, (n, 64).

    The sign of the lowest 8 x 8 frequencies of the cosine transform about their median (pHash,
    Zauner 2010); bit 0, the mean, is part of it as in the classical hash.

    Args:
        small: brightness on any scale, (n, 32, 32).
    """
    frequency, place = np.arange(KEEP)[:, None], np.arange(SIDE)[None, :]
    transform = np.cos(np.pi * frequency * (place + 0.5) / SIDE)
    spectrum = (transform @ small @ transform.T).reshape(len(small), -1)
    return spectrum > np.median(spectrum[:, 1:], axis=1, keepdims=True)


def as_words(bits: npt.NDArray[np.bool_]) -> Hashes:
    """Rows of 64 bits as one word each, (n,)."""
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def distances(first: Hashes, second: Hashes) -> npt.NDArray[np.uint8]:
    """In how many bits two columns of words differ, row by row, (n,)."""
    halves = np.ascontiguousarray(first ^ second).view(np.uint16).reshape(-1, 4)
    return _ONES[halves].sum(1, dtype=np.uint8)
