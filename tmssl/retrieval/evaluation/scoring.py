"""Search results -> scores: every metric per query, and its mean with an interval over queries.

The metrics are in `metrics.py`; what is relevant to a query is in `relevance.py`.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tmssl.data.vienna import LEVELS
from tmssl.retrieval.evaluation.chance import hit_chance
from tmssl.retrieval.evaluation.metrics import GROUP_METRICS, LIST_METRICS, GradedLists
from tmssl.retrieval.evaluation.relevance import Relevance
from tmssl.runs.events import Score
from tmssl.types import Floats, Indices

_RESAMPLES = 1000
_QUERIES_AT_ONCE = (
    64  # queries whose relevant marks are in memory: up to 8 MB each of 538,000 marks
)
_DRAWS_AT_ONCE = 1 << 22  # random numbers of the bootstrap in memory at once


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The search results of one encoder for every query."""

    top: Indices
    """(queries, K): gallery rows by falling similarity, without the query itself"""
    group_ranks: list[Indices]
    """for each query the ranks (from 1, ties counted worst) of its group among all marks, ascending"""


@dataclasses.dataclass(frozen=True)
class GalleryLabels:
    """The labels of the gallery, by row."""

    vienna: Sequence[Sequence[str]]
    groups: Sequence[str]


class ScoreKey(NamedTuple):
    """What tells one score of an evaluation from another."""

    metric: str
    level: str
    codes: str
    """`all`, `figurative`, `macro`, or the one division that hit@k is about"""
    k: int
    """length of the list; 0 for a metric of the whole ranking"""


class QueryScores(NamedTuple):
    """One score of each query, with its chance level."""

    values: Floats
    """(n,)"""
    chance: Floats
    """(n,)"""


def measure(
    labels: GalleryLabels,
    queries: Indices,
    ranking: Ranking,
    topk: Sequence[int],
    excluded: Sequence[Indices] | None = None,
) -> dict[ScoreKey, QueryScores]:
    """Every metric of one encoder, at every level, code set and k, and hit@k of each division.

    A query without anything relevant is not scored. A level at which no two marks share a code has
    no scores.

    Args:
        labels: of the gallery.
        queries: rows of the queries, (q,).
        ranking: of the encoder.
        topk: list lengths, none above the columns of the ranking.
        excluded: for each query the rows that are not searched besides its own; the ranking does
            not hold them.
    """
    gone = excluded if excluded is not None else [np.empty(0, np.int64)] * len(queries)
    gallery = len(labels.groups) - 1 - np.array([len(rows) for rows in gone], dtype=np.int64)
    scores: dict[ScoreKey, QueryScores] = {}
    for level in LEVELS:
        for codes in ("all", "figurative"):
            relevance = Relevance(labels.vienna, level, figurative=codes == "figurative")
            parts = defaultdict[ScoreKey, list[QueryScores]](list)
            for begin in range(0, len(queries), _QUERIES_AT_ONCE):
                block = slice(begin, begin + _QUERIES_AT_ONCE)
                top = ranking.top[block, : max(topk)]
                lists = _graded_lists(relevance, queries[block], top, gone[block], gallery[block])
                if lists is None:
                    continue
                for k in topk:
                    for metric, (value, chance_level) in LIST_METRICS.items():
                        pair = QueryScores(value(lists, k), chance_level(lists, k))
                        parts[ScoreKey(metric, level, codes, k)].append(pair)
            scores |= {key: _joined(pairs) for key, pairs in parts.items()}
            if (level, codes) == ("division", "all"):
                scores |= _division_scores(relevance, queries, ranking.top, topk, gone)
    return scores | _group_scores(ranking.group_ranks, gallery, topk)


def _joined(parts: Sequence[QueryScores]) -> QueryScores:
    """The scores of several blocks of queries as one."""
    return QueryScores(*map(np.concatenate, zip(*parts, strict=True)))


def _graded_lists(
    relevance: Relevance,
    queries: Indices,
    top: Indices,
    excluded: Sequence[Indices],
    gallery: Indices,
) -> GradedLists | None:
    """The lists of those queries that have something relevant; None where none has.

    Args:
        relevance: of the gallery.
        queries: rows, (q,).
        top: rows found, (q, K).
        excluded: for each query the rows that are not searched.
        gallery: number of marks that each query searches, (q,).
    """
    length = top.shape[1]
    gain_of = np.zeros(relevance.count)
    listed, best, counts, mean_gains, searched = [], [], [], [], []
    for query, rows, gone, size in zip(queries.tolist(), top, excluded, gallery, strict=True):
        relevant, gains = relevance.relevant(query)
        if len(gone):
            kept = ~np.isin(relevant, gone)
            relevant, gains = relevant[kept], gains[kept]
        if len(relevant) == 0:
            continue
        gain_of[relevant] = gains
        listed.append(gain_of[rows])
        gain_of[relevant] = 0
        counts.append(len(gains))
        mean_gains.append(gains.sum() / size)
        searched.append(size)
        if len(gains) > length:
            gains = np.partition(gains, len(gains) - length)[-length:]
        best.append(np.pad(np.sort(gains)[::-1], (0, length - len(gains))))
    if not counts:
        return None
    return GradedLists(
        np.stack(listed),
        np.stack(best),
        np.array(counts),
        np.array(mean_gains),
        np.array(searched),
    )


def _division_scores(
    relevance: Relevance,
    queries: Indices,
    top: Indices,
    topk: Sequence[int],
    excluded: Sequence[Indices],
) -> dict[ScoreKey, QueryScores]:
    """hit@k of each division, and the mean over divisions, in which common divisions count once."""
    # By division: the rank from 0 of a query's first hit, its relevant marks, the marks it searches.
    first_hits = defaultdict[str, list[tuple[int, int, int]]](list)
    for query, rows, gone in zip(queries.tolist(), top.tolist(), excluded, strict=True):
        for code in relevance.codes[query]:
            lost = sum(code in relevance.codes[row] for row in gone.tolist())
            others = len(relevance.holders[code]) - 1 - lost
            if others > 0:
                ranks = (rank for rank, row in enumerate(rows) if code in relevance.codes[row])
                gallery = relevance.count - 1 - len(gone)
                first_hits[code].append((next(ranks, len(rows)), others, gallery))
    scores: dict[ScoreKey, QueryScores] = {}
    for k in topk if first_hits else ():
        means = []
        for code in sorted(first_hits):
            ranks, others, gallery = np.array(first_hits[code], dtype=np.int64).T
            of_code = QueryScores((ranks < k).astype(float), hit_chance(others, gallery, k))
            if k == min(topk):  # in longer lists nearly every division has its hit
                scores[ScoreKey("hit", "division", code, k)] = of_code
            means.append((float(of_code.values.mean()), float(of_code.chance.mean())))
        scores[ScoreKey("hit", "division", "macro", k)] = _columns(means)
    return scores


def _group_scores(
    group_ranks: Sequence[Indices], gallery: Indices, topk: Sequence[int]
) -> dict[ScoreKey, QueryScores]:
    """Known-item scores of the queries that have group mates: recall@k and `GROUP_METRICS`."""
    pairs = defaultdict[ScoreKey, list[tuple[float, float]]](list)
    for ranks, size in zip(group_ranks, gallery.tolist(), strict=True):
        if len(ranks) == 0:
            continue
        for k in topk:
            pair = (float((ranks <= k).sum() / len(ranks)), min(k, size) / size)
            pairs[ScoreKey("group_recall", "group", "all", k)].append(pair)
        for metric, (value, chance_level) in GROUP_METRICS.items():
            pair = (value(ranks, size), chance_level(len(ranks), size))
            pairs[ScoreKey(metric, "group", "all", 0)].append(pair)
    return {key: _columns(of_key) for key, of_key in pairs.items()}


def _columns(pairs: Sequence[tuple[float, float]]) -> QueryScores:
    """(value, chance) pairs as two arrays."""
    return QueryScores(*np.array(pairs, dtype=np.float64).T)


def mean_values(scores: Mapping[ScoreKey, QueryScores]) -> dict[ScoreKey, float]:
    """The mean over queries of each score."""
    return {key: float(of_query.values.mean()) for key, of_query in scores.items()}


def summarize(
    scores: Mapping[ScoreKey, QueryScores],
    references: Mapping[str, Mapping[ScoreKey, float]],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> list[Score]:
    """Means over queries, each with its chance level, its interval and the references' means.

    A reference that lacks a score has None in its place.
    """
    return [
        mean_score(
            key,
            of_query.values,
            float(of_query.chance.mean()),
            {name: means.get(key) for name, means in references.items()},
            seed=seed,
            resamples=resamples,
        )
        for key, of_query in scores.items()
    ]


def mean_score(
    key: ScoreKey,
    values: Floats,
    chance_level: float,
    references: Mapping[str, float | None],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> Score:
    """The mean over queries of one score, with its bootstrap interval.

    Args:
        key: what was measured.
        values: of each query, (n,).
        chance_level: the expectation of a random ranking.
        references: the same mean of other encoders, by name.
        seed: of the bootstrap.
        resamples: of the bootstrap.
    """
    low, high = interval(values, seed, resamples)
    return Score(
        **key._asdict(),
        value=float(values.mean()),
        chance=chance_level,
        low=low,
        high=high,
        queries=len(values),
        references=dict(references),
    )


def interval(values: Floats, seed: int, resamples: int = _RESAMPLES) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over queries (Efron 1979)."""
    generator = np.random.default_rng(seed)
    count = len(values)
    step = max(1, _DRAWS_AT_ONCE // count)
    means = [
        values[generator.integers(0, count, (min(step, resamples - begin), count))].mean(axis=1)
        for begin in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def is_division(codes: str) -> bool:
    """Whether the `codes` of a score name a single division."""
    return codes[:1].isdigit()
