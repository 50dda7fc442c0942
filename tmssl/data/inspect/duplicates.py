"""Which images are the same, or nearly: groups found without comparing each with each."""

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tmssl.data.phash import hamming_distances
from tmssl.types import Hashes, Indices

NEAR = 4  # bits of 64 in which the hashes of near duplicates differ at most

# Four bits touch at most four of seven blocks, so two near hashes agree in some three of them
# (multi-index hashing, Norouzi et al. 2012): each choice of three blocks is a table to look into.
_BLOCKS, _AGREEING = 7, 3
_BITS = 64


def exact_groups(digests: npt.NDArray[np.uint64]) -> Indices:
    """For each row the first row with the same digest, (n,)."""
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    return first[group.reshape(-1)].astype(np.int64)


def near_groups(hashes: Hashes, most: int = NEAR) -> Indices:
    """For each row the lowest row of its group, (n,).

    Two hashes are of one group when a chain of hashes leads from one to the other of which
    neighbours differ in at most `most` bits. Exact, by tables of the hashes that agree in three of
    seven blocks: half a million take seconds.

    Args:
        hashes: (n,).
        most: 0 to 4.

    Raises:
        ValueError: `most` is more than the tables can find.
    """
    if not 0 <= most <= _BLOCKS - _AGREEING:
        raise ValueError(f"near hashes may differ in 0 to {_BLOCKS - _AGREEING} bits, not {most}")
    unique, first, of_row = np.unique(hashes, return_index=True, return_inverse=True)
    label = np.arange(len(unique), dtype=np.int64)
    for mask in _masks():
        _look_into(unique, mask, most, label)
    lowest = np.full(len(unique), len(hashes), dtype=np.int64)
    np.minimum.at(lowest, label, first)
    return lowest[label][of_row.reshape(-1)]


def _masks() -> Iterator[np.uint64]:
    """The bits of each choice of blocks."""
    edges = [round(i * _BITS / _BLOCKS) for i in range(_BLOCKS + 1)]
    blocks = [sum(1 << bit for bit in range(*pair)) for pair in itertools.pairwise(edges)]
    for chosen in itertools.combinations(blocks, _AGREEING):
        yield np.uint64(sum(chosen))


def _look_into(unique: Hashes, mask: np.uint64, most: int, label: Indices) -> None:
    """Join the groups of near hashes that agree under a mask, in place.

    Neighbours in the table are compared first, then those two apart, and so on; hashes whose whole
    part of the table is of one group by then are left out, so many copies of a mark cost little.
    """
    keys = unique & mask
    rows = np.argsort(keys, kind="stable")
    part = np.cumsum(np.concatenate([[0], np.diff(keys[rows]) != 0]))
    apart = 0
    while len(rows):
        apart += 1
        same_part = part[apart:] == part[:-apart]
        one, other = rows[:-apart][same_part], rows[apart:][same_part]
        differ = label[one] != label[other]
        one, other = one[differ], other[differ]
        close = hamming_distances(unique[one], unique[other]) <= most
        _join(label, one[close], other[close])
        if not same_part.any():
            return
        keep = _undecided(part, label[rows], apart)
        rows, part = rows[keep], part[keep]


def _undecided(part: Indices, label: Indices, apart: int) -> npt.NDArray[np.bool_]:
    """Rows of parts of a table that are longer than what was compared, and of several groups."""
    begins = np.flatnonzero(np.concatenate([[True], np.diff(part) != 0]))
    sizes = np.diff(np.append(begins, len(part)))
    several = np.minimum.reduceat(label, begins) != np.maximum.reduceat(label, begins)
    return np.repeat(several & (sizes > apart + 1), sizes)


def _join(label: Indices, one: Indices, other: Indices) -> None:
    """Give linked rows the lowest label among them, and all of their groups too, in place."""
    while len(one):
        first, second = label[one], label[other]
        lower, higher = np.minimum(first, second), np.maximum(first, second)
        np.minimum.at(label, higher, lower)
        while not np.array_equal(label, further := label[label]):
            label[:] = further
        left = label[one] != label[other]
        one, other = one[left], other[left]
