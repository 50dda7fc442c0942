"""Ranked lists become figures, each beside its chance level and an interval over queries."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import LEVELS
from tmssl.retrieval import chance
from tmssl.retrieval.relevance import Relevance, group_mates
from tmssl.runs.events import Score

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What one encoder found for every query."""

    top: Rows
    """(queries, K): rows by falling similarity, the query itself left out"""
    mates: list[Rows]
    """for each query the ranks (from 1, ties worst) of its group mates among all marks, ascending"""


@dataclasses.dataclass(frozen=True)
class Marks:
    """What is known of the gallery, by row."""

    vienna: Sequence[Sequence[str]]
    groups: Sequence[str]


# Per-query values and chance levels of one figure: (metric, level, codes, k) to ((n,), (n,)).
Key = tuple[str, str, str, int]
Figures = dict[Key, tuple[Floats, Floats]]


def score(
    marks: Marks, queries: Rows, rankings: dict[str, Ranking], topk: Sequence[int], *,
    seed: int = 0,
) -> list[Score]:  # fmt: skip
    """Every figure of an evaluation.

    Args:
        marks: the gallery.
        queries: rows of the queries, (q,).
        rankings: by encoder; the first is the one evaluated, the others are references.
        topk: list lengths, none above the columns of the rankings.
        seed: of the bootstrap.

    Returns:
        A row for each metric, level, code set and k. Queries without anything relevant are not
        scored, and a level at which no mark has a code has no rows.
    """
    measured = [
        {**_vienna(marks, queries, ranking, topk), **_groups(marks, queries, ranking, topk)}
        for ranking in rankings.values()
    ]
    names = list(rankings)[1:]
    rows = []
    for key, (values, expected) in measured[0].items():
        metric, level, codes, k = key
        low, high = interval(values, seed)
        rows.append(
            Score(
                metric=metric, level=level, codes=codes, k=k, value=float(values.mean()),
                chance=float(expected.mean()), low=low, high=high, queries=len(values),
                references={
                    name: float(other[key][0].mean())
                    for name, other in zip(names, measured[1:], strict=True)
                },
            )
        )  # fmt: skip
    return rows


def interval(values: Floats, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over queries (Efron 1979)."""
    generator = np.random.default_rng(seed)
    means = values[generator.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _vienna(marks: Marks, queries: Rows, ranking: Ranking, topk: Sequence[int]) -> Figures:
    """The figures over Vienna codes, at every level that has codes."""
    figures: Figures = {}
    for level in LEVELS:
        for codes in ("all", "figurative"):
            relevance = Relevance(marks.vienna, level, figurative=codes == "figurative")
            figures.update(_at_level(relevance, queries, ranking, topk, level, codes))
            if level == "division" and codes == "figurative" and relevance.holders:
                figures.update(_macro(relevance, queries, ranking, topk))
    return figures


def _at_level(
    relevance: Relevance, queries: Rows, ranking: Ranking, topk: Sequence[int], level: str,
    codes: str,
) -> Figures:  # fmt: skip
    """hit, precision, recall, map and ndcg at every k for one set of codes."""
    collected: dict[Key, list[tuple[float, float]]] = {}
    gallery = relevance.count - 1
    gain_of = np.zeros(relevance.count)
    for query, top in zip(queries.tolist(), ranking.top, strict=True):
        rows, gains = relevance.relevant(query)
        if len(rows) == 0:
            continue
        gain_of[rows] = gains
        listed = gain_of[top]
        gain_of[rows] = 0
        best = np.sort(gains)[::-1]
        for k in topk:
            for metric, pair in _one(listed[:k], best, len(rows), gallery, k).items():
                collected.setdefault((metric, level, codes, k), []).append(pair)
    return {key: _columns(pairs) for key, pairs in collected.items()}


def _columns(pairs: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    """(value, chance) pairs as two arrays."""
    table = np.array(pairs, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _one(
    listed: Floats, best: Floats, relevant: int, gallery: int, k: int
) -> dict[str, tuple[float, float]]:
    """Every metric of one query's list, with its chance level."""
    hits = listed > 0
    found = hits.sum()
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = float((best[:k] * discounts[: len(best)]).sum())
    gains = np.zeros(gallery)
    gains[: len(best)] = best
    return {
        "hit": (float(found > 0), float(chance.hit_chance(relevant, gallery, k))),
        "precision": (found / k, float(chance.precision_chance(relevant, gallery))),
        "recall": (found / relevant, float(chance.recall_chance(relevant, gallery, k))),
        "map": (
            average_precision(hits, min(relevant, k)),
            float(chance.average_precision_chance(relevant, gallery, k)),
        ),
        "ndcg": (
            float((listed * discounts[: len(listed)]).sum()) / ideal,
            chance.ndcg_chance(gains, k, ideal),
        ),
    }


def average_precision(hits: npt.NDArray[np.bool_], normaliser: int) -> float:
    """Mean over `normaliser` relevant marks of the precision at each one's rank."""
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / max(1, normaliser))


def _macro(relevance: Relevance, queries: Rows, ranking: Ranking, topk: Sequence[int]) -> Figures:
    """hit@k of each division by itself, and their mean, so that common divisions count once."""
    figures: Figures = {}
    gallery = relevance.count - 1
    for k in topk:
        found: dict[str, list[tuple[float, float]]] = {}
        for query, top in zip(queries.tolist(), ranking.top[:, :k].tolist(), strict=True):
            for code in relevance.codes[query]:
                others = len(relevance.holders[code]) - 1
                if others:
                    hit = any(code in relevance.codes[row] for row in top)
                    expected = float(chance.hit_chance(others, gallery, k))
                    found.setdefault(code, []).append((float(hit), expected))
        if found:
            means = [tuple(np.mean(pairs, axis=0)) for _, pairs in sorted(found.items())]
            figures["hit", "division", "macro", k] = _columns(means)
    return figures


def _groups(marks: Marks, queries: Rows, ranking: Ranking, topk: Sequence[int]) -> Figures:
    """Known-item figures: recall@k, average precision over everything, and METU's NAR."""
    mates = group_mates(marks.groups)
    gallery = len(marks.groups) - 1
    collected: dict[Key, list[tuple[float, float]]] = {}
    for query, ranks in zip(queries.tolist(), ranking.mates, strict=True):
        others = len(mates.get(marks.groups[query], ())) - 1
        if others < 1:
            continue
        for k in topk:
            pair = (float((ranks <= k).sum() / others), min(k, gallery) / gallery)
            collected.setdefault(("group_recall", "group", "all", k), []).append(pair)
        precision = float((np.arange(1, others + 1) / ranks).mean())
        expected = float(chance.average_precision_chance(others, gallery, gallery))
        collected.setdefault(("group_map", "group", "all", 0), []).append((precision, expected))
        nar = normalised_average_rank(ranks, gallery + 1)
        random_nar = chance.nar_chance(others, gallery + 1)
        collected.setdefault(("group_nar", "group", "all", 0), []).append((nar, random_nar))
    return {key: _columns(pairs) for key, pairs in collected.items()}


def normalised_average_rank(ranks: Rows, marks: int) -> float:
    """METU's NAR: (sum of ranks - n(n + 1)/2) / (N n), the query itself first in its own list.

    Tursun and Kalkan 2015. 0 is perfect and about 0.5 random.

    Args:
        ranks: ranks of the relevant marks, the query left out of the list, ties counted worst.
        marks: N, the query included.
    """
    n = len(ranks) + 1
    total = 1 + int((ranks + 1).sum())
    return (total - n * (n + 1) / 2) / (marks * n)
