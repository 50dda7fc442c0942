"""Which marks of a gallery are relevant to a query, and how much."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import at_level, is_figurative, rarity

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Relevance:
    """Shared Vienna codes at one level, as an inverted index."""

    def __init__(
        self, codes_per_mark: Sequence[Sequence[str]], level: str, *, figurative: bool = False
    ) -> None:
        self.codes = [
            frozenset(c for c in at_level(codes, level) if not figurative or is_figurative(c))
            for codes in codes_per_mark
        ]
        self.count = len(self.codes)
        self.weights = rarity(self.codes)
        holders: dict[str, list[int]] = {}
        for row, codes in enumerate(self.codes):
            for code in codes:
                holders.setdefault(code, []).append(row)
        self.holders = {code: np.array(rows, dtype=np.int64) for code, rows in holders.items()}
        self._total = np.array([sum(self.weights[c] for c in codes) for codes in self.codes])

    def relevant(self, query: int) -> tuple[Rows, Floats]:
        """Rows that share a code with the query, itself left out, and their gains in (0, 1].

        The gain is the Jaccard index of the two code sets, each code weighted by its rarity, so
        sharing 26.11 alone is worth little. A code that every mark has weighs nothing, and then
        counts as an unweighted one would.
        """
        own = self.codes[query]
        if not own:
            return np.empty(0, np.int64), np.empty(0)
        rows = np.concatenate([self.holders[code] for code in own])
        shared = np.concatenate(
            [np.full(len(self.holders[code]), max(self.weights[code], 1e-9)) for code in own]
        )
        found, place = np.unique(rows, return_inverse=True)
        common = np.bincount(place, weights=shared)
        gains = common / np.maximum(self._total[found] + self._total[query] - common, common)
        others = found != query
        return found[others], gains[others]

    def shared(self, query: int, other: int) -> list[str]:
        """Codes that two marks share, rare before frequent."""
        return sorted(
            self.codes[query] & self.codes[other], key=lambda code: (-self.weights[code], code)
        )

    def __iter__(self) -> Iterator[str]:
        """The codes in use, sorted."""
        return iter(sorted(self.holders))


def group_mates(groups: Sequence[str]) -> dict[str, Rows]:
    """Rows of each named group."""
    found: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        if group:
            found.setdefault(group, []).append(row)
    return {group: np.array(rows, dtype=np.int64) for group, rows in found.items()}
