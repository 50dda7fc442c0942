"""Groups of equal or nearly equal images, found without comparing all pairs."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tmssl.data.phash import hamming_distances
from tmssl.types import Hashes, Indices

MAX_BITS = 4  # of 64, in which the hashes of near duplicates differ

# Four bits touch at most four of seven blocks, so two near hashes agree in at least three of them
# (multi-index hashing, Norouzi et al. 2012). Each choice of three blocks is one lookup table.
_BLOCKS, _AGREEING = 7, 3
_BITS = 64


def exact_groups(digests: npt.NDArray[np.uint64]) -> Indices:
    """The first row with the same digest, for each row, (n,)."""
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    return first[group.reshape(-1)].astype(np.int64)


def near_groups(hashes: Hashes, most: int = MAX_BITS) -> Indices:
    """The lowest row of its group, for each row, (n,).

    Groups are the connected components of the graph that links hashes that differ in at most `most`
    bits. They are exact; half a million hashes take seconds.

    Args:
        hashes: (n,).
        most: 0 to 4.

    Raises:
        ValueError: `most` is not in 0 to 4.
    """
    if not 0 <= most <= _BLOCKS - _AGREEING:
        raise ValueError(f"near hashes may differ in 0 to {_BLOCKS - _AGREEING} bits, not {most}")
    unique, first, of_row = np.unique(hashes, return_index=True, return_inverse=True)
    label = np.arange(len(unique), dtype=np.int64)
    for mask in _masks():
        _merge_within_table(unique, mask, most, label)
    lowest = np.full(len(unique), len(hashes), dtype=np.int64)
    np.minimum.at(lowest, label, first)
    return lowest[label][of_row.reshape(-1)]


def _masks() -> Iterator[np.uint64]:
    """The bits of each choice of blocks."""
    edges = [round(i * _BITS / _BLOCKS) for i in range(_BLOCKS + 1)]
    blocks = [sum(1 << bit for bit in range(*pair)) for pair in itertools.pairwise(edges)]
    for chosen in itertools.combinations(blocks, _AGREEING):
        yield np.uint64(sum(chosen))


def _merge_within_table(unique: Hashes, mask: np.uint64, most: int, label: Indices) -> None:
    """Merge the groups of near hashes that agree under a mask, in place.

    Adjacent hashes of a bucket are compared first, then those two places apart, and so on. A bucket
    that is one group by then is dropped, so many copies of a mark cost little.
    """
    keys = unique & mask
    rows = np.argsort(keys, kind="stable")
    bucket = np.cumsum(np.concatenate([[0], np.diff(keys[rows]) != 0]))
    distance = 0
    while len(rows):
        distance += 1
        same_bucket = bucket[distance:] == bucket[:-distance]
        left, right = rows[:-distance][same_bucket], rows[distance:][same_bucket]
        differ = label[left] != label[right]
        left, right = left[differ], right[differ]
        close = hamming_distances(unique[left], unique[right]) <= most
        _merge(label, left[close], right[close])
        if not same_bucket.any():
            return
        keep = _is_undecided(bucket, label[rows], distance)
        rows, bucket = rows[keep], bucket[keep]


def _is_undecided(bucket: Indices, label: Indices, distance: int) -> npt.NDArray[np.bool_]:
    """Which rows are in a bucket of several groups with pairs that are further apart than `distance`."""
    begins = np.flatnonzero(np.concatenate([[True], np.diff(bucket) != 0]))
    sizes = np.diff(np.append(begins, len(bucket)))
    several = np.minimum.reduceat(label, begins) != np.maximum.reduceat(label, begins)
    return np.repeat(several & (sizes > distance + 1), sizes)


def _merge(label: Indices, left: Indices, right: Indices) -> None:
    """Give the groups of each linked pair their lowest label, in place."""
    while len(left):
        first, second = label[left], label[right]
        lower, higher = np.minimum(first, second), np.maximum(first, second)
        np.minimum.at(label, higher, lower)
        while not np.array_equal(label, lowest := label[label]):
            label[:] = lowest
        differ = label[left] != label[right]
        left, right = left[differ], right[differ]
