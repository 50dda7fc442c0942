"""Indexes of several random vectors a mark, held in memory."""

import numpy as np
import numpy.typing as npt

from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.regional import RegionalIndex, as_bytes, sign_bits

Regions = npt.NDArray[np.float32]


def drawn(seed: int, marks: int, regions: int, features: int) -> Regions:
    """Unit vectors of marks and of their regions, (marks, regions, f); some have fewer."""
    dice = np.random.default_rng(seed)
    vectors = dice.standard_normal((marks, regions, features)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    vectors[np.arange(regions) > dice.integers(0, regions, marks)[:, None]] = 0
    return vectors


def in_memory(vectors: Regions) -> RegionalIndex:
    codes = as_bytes(vectors[:, 1:])
    bits = np.concatenate([sign_bits(vectors[:, :1]), sign_bits(codes)], 1).swapaxes(0, 1)
    return RegionalIndex(build_index(vectors[:, 0]), np.ascontiguousarray(bits), codes)
