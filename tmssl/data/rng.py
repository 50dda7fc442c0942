"""Random numbers without state, so that a resumed run draws what an uninterrupted one would have.

A draw is a hash of integers such as (seed, epoch, sample, view, slot): the same on every machine, for
any number of workers and after any interruption.
"""

import numpy as np
import numpy.typing as npt

from tmssl.types import Hashes

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(words: Hashes) -> Hashes:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014), a bijection of 64-bit words."""
    words = (words ^ (words >> np.uint64(30))) * _MIX_1
    words = (words ^ (words >> np.uint64(27))) * _MIX_2
    return words ^ (words >> np.uint64(31))


def random_bits(*keys: npt.ArrayLike) -> Hashes:
    """64 random bits for each combination of integer keys, which broadcast against each other.

    Keys are 0 or more, and their order matters.
    """
    with np.errstate(over="ignore"):  # arithmetic is modulo 2^64 on purpose
        words: Hashes = np.zeros(1, dtype=np.uint64)
        for key in keys:
            words = _mix((words + _GOLDEN) ^ _mix(np.asarray(key, dtype=np.uint64) + _GOLDEN))
    return words


def uniform(*keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A number in [0, 1) for each combination of integer keys."""
    return (random_bits(*keys) >> np.uint64(11)).astype(np.float64) * 2.0**-53
