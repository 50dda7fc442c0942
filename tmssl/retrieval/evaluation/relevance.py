"""Relevance of gallery marks to a query: shared Vienna codes, graded, and shared groups."""

from collections.abc import Sequence

import numpy as np

from tmssl.data.vienna import at_level, idf, is_figurative
from tmssl.types import Floats, Indices

_LEAST = 1e-9  # weight of a code that every mark has; above 0, so that sharing it is relevant


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
        self.weights = idf(self.codes)
        holders: dict[str, list[int]] = {}
        for row, codes in enumerate(self.codes):
            for code in codes:
                holders.setdefault(code, []).append(row)
        self.holders = {code: np.array(rows, dtype=np.int64) for code, rows in holders.items()}
        self._total = np.array([sum(self.weights[c] for c in codes) for codes in self.codes])
        self._common = np.zeros(self.count)  # all zero between calls

    def relevant(self, query: int) -> tuple[Indices, Floats]:
        """Rows that share a code with the query, ascending, without itself, and their gains in (0, 1].

        The gain is the Jaccard index of the two code sets, each code weighted by its rarity, so
        that sharing only a frequent code such as 26.11 counts little.
        """
        common = self._common
        for code in self.codes[query]:
            common[self.holders[code]] += max(self.weights[code], _LEAST)
        common[query] = 0
        rows = np.flatnonzero(common)
        shared = common[rows]
        common[rows] = 0
        return rows, shared / np.maximum(self._total[rows] + self._total[query] - shared, shared)

    def shared(self, query: int, other: int) -> list[str]:
        """Codes that two marks share, rare before frequent."""
        return sorted(
            self.codes[query] & self.codes[other], key=lambda code: (-self.weights[code], code)
        )


def group_mates(groups: Sequence[str]) -> dict[str, Indices]:
    """Rows of each named group."""
    members: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        if group:
            members.setdefault(group, []).append(row)
    return {group: np.array(rows, dtype=np.int64) for group, rows in members.items()}
