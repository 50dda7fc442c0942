"""Chance levels of hit@k over a whole corpus, before anything is trained."""

from collections import Counter
from collections.abc import Iterable

import msgspec
import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import LEVELS, at_level, is_figurative
from tmssl.retrieval.evaluation.chance import hit_chance
from tmssl.runs.main_figure import TOPK

_SAMPLE = 2000  # sets of codes that are all counted; a larger corpus is sampled

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
    """number of those marks"""
    sampled: int
    """number of them that the mean is taken over"""


def corpus_hit_chances(vienna: Iterable[Codes], topk: Iterable[int] = TOPK) -> list[HitChance]:
    """Mean expected hit@k of a random ranking, at every level, if each mark with codes is a query.

    A level at which no two marks share a code has none.

    Args:
        vienna: the codes of every mark, including marks without any.
        topk: list lengths.
    """
    marks = Counter(vienna)
    gallery = marks.total() - 1
    chances = []
    for codes in ("all", "figurative"):
        for level in LEVELS:
            relevant, weights, queries = _relevant(_code_sets(marks, level, codes == "figurative"))
            for k in topk if queries else ():
                mean = float(np.average(hit_chance(relevant, gallery, k), weights=weights))
                chances.append(HitChance(level, codes, k, mean, queries, int(weights.sum())))
    return chances


def _code_sets(marks: Counter[Codes], level: str, figurative: bool) -> Counter[frozenset[str]]:
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
    """Number of relevant marks of each distinct query, its weight, and the number of queries.

    Marks with the same set of codes are one distinct query, weighted by their number. Of more than
    2,000 such sets, as many marks are drawn.
    """
    listed = list(sets)
    sizes = np.fromiter(sets.values(), np.int64, len(sets))
    holders: dict[str, list[int]] = {}
    for place, codes in enumerate(listed):
        for code in codes:
            holders.setdefault(code, []).append(place)
    places = {code: np.array(rows) for code, rows in holders.items()}
    marks_with = {code: int(sizes[rows].sum()) for code, rows in places.items()}
    shares = np.array([any(marks_with[code] > 1 for code in codes) for codes in listed], np.bool_)
    queries = np.flatnonzero(shares)
    weights = sizes[queries]
    if len(queries) > _SAMPLE:
        drawn = np.random.default_rng(0).choice(queries, _SAMPLE, p=weights / weights.sum())
        queries, weights = np.unique(drawn, return_counts=True)
    sharing = np.zeros(len(listed), np.bool_)
    relevant = np.zeros(len(queries), np.int64)
    for i, query in enumerate(queries.tolist()):
        for code in listed[query]:
            sharing[places[code]] = True
        relevant[i] = sizes[sharing].sum() - 1
        sharing[:] = False
    return relevant, weights, int(sizes[shares].sum())
