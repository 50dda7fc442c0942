"""What a random ranking would hit in this very corpus, before anything is trained."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import LEVELS, at_level, is_figurative
from tmssl.retrieval.evaluation.chance import hit_chance

_MOST = 2000  # sets of codes looked at one by one; more are drawn from

Codes = tuple[str, ...]


class HitChance(msgspec.Struct, frozen=True):
    """The chance level of one figure."""

    level: str
    codes: str
    """`all` or `figurative`, categories 1 to 24"""
    k: int
    chance: float
    """mean over the marks that share a code with another"""
    queries: int
    """those marks"""
    sampled: int
    """how many of them the mean was taken over"""


def hit_chances(vienna: Iterable[Codes], topk: Iterable[int] = (10, 100)) -> list[HitChance]:
    """The expected hit@k of a random ranking at every level, hypergeometric by query, then averaged.

    Each mark with codes searches all the others. A level at which no two marks share a code has none.

    Args:
        vienna: the codes of every mark, marks without any among them.
        topk: lengths of the result list.
    """
    marks = Counter(vienna)
    gallery = marks.total() - 1
    found = []
    for codes in ("all", "figurative"):
        for level in LEVELS:
            relevant, weights, queries = _relevant(_sets(marks, level, codes == "figurative"))
            if queries:
                found += [
                    HitChance(
                        level,
                        codes,
                        k,
                        float(np.average(hit_chance(relevant, gallery, k), weights=weights)),
                        queries,
                        int(weights.sum()),
                    )
                    for k in topk
                ]
    return found


def _sets(marks: Counter[Codes], level: str, figurative: bool) -> Counter[frozenset[str]]:
    """Sets of codes at a level, and how many marks have each."""
    sets: Counter[frozenset[str]] = Counter()
    for codes, number in marks.items():
        wanted = (code for code in codes if not figurative or is_figurative(code))
        sets[at_level(wanted, level)] += number
    del sets[frozenset()]
    return sets


def _relevant(
    sets: Counter[frozenset[str]],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Relevant marks of the queries looked at, their weights, and how many queries there are.

    All sets are looked at, each weighted by its marks, or 2,000 marks that are drawn.
    """
    listed = list(sets)
    numbers = np.fromiter(sets.values(), np.int64, len(sets))
    holders: dict[str, list[int]] = {}
    for place, codes in enumerate(listed):
        for code in codes:
            holders.setdefault(code, []).append(place)
    places = {code: np.array(rows) for code, rows in holders.items()}
    carried = {code: int(numbers[rows].sum()) for code, rows in places.items()}
    shares = np.array([any(carried[code] > 1 for code in codes) for codes in listed], np.bool_)
    queries = np.flatnonzero(shares)
    weights = numbers[queries]
    if len(queries) > _MOST:
        drawn = np.random.default_rng(0).choice(queries, _MOST, p=weights / weights.sum())
        queries, weights = np.unique(drawn, return_counts=True)
    touched = np.zeros(len(listed), np.bool_)
    relevant = np.zeros(len(queries), np.int64)
    for i, query in enumerate(queries.tolist()):
        for code in listed[query]:
            touched[places[code]] = True
        relevant[i] = numbers[touched].sum() - 1
        touched[:] = False
    return relevant, weights, int(numbers[shares].sum())
