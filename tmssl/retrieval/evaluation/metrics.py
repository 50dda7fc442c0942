"""Ranked lists become figures, each beside its chance level and an interval over queries."""

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from tmssl.data.vienna import LEVELS
from tmssl.retrieval.evaluation import chance
from tmssl.retrieval.evaluation.relevance import Relevance
from tmssl.runs.events import Score
from tmssl.types import Floats, Indices

_RESAMPLES = 1000
_QUERIES_AT_ONCE = 64  # whose relevant marks are in memory: 8 MB each where a third of 538,000 are
_DRAWN_AT_ONCE = 1 << 22  # random numbers of the bootstrap in memory at once


@dataclasses.dataclass(frozen=True)
class Ranking:
    """What one encoder found for every query."""

    top: Indices
    """(queries, K): rows by falling similarity, the query itself left out"""
    mates: list[Indices]
    """for each query the ranks (from 1, ties worst) of its group mates among all marks, ascending"""


@dataclasses.dataclass(frozen=True)
class Marks:
    """What is known of the gallery, by row."""

    vienna: Sequence[Sequence[str]]
    groups: Sequence[str]


# (metric, level, codes, k); k is 0 for a figure over the whole ranking. `codes` is `all`,
# `figurative`, `macro`, or the one division that hit@k is about.
Key = tuple[str, str, str, int]
# Per-query values and chance levels of each figure, ((n,), (n,)).
Figures = dict[Key, tuple[Floats, Floats]]


def score(
    marks: Marks,
    queries: Indices,
    rankings: Mapping[str, Ranking],
    topk: Sequence[int],
    *,
    left_out: Sequence[Indices] | None = None,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> list[Score]:
    """Every figure of an evaluation; the first ranking is evaluated, the others are references."""
    first, *others = rankings
    measured = measure(marks, queries, rankings, topk, left_out)
    return score_rows(
        measured[first],
        {name: means(measured[name]) for name in others},
        seed=seed,
        resamples=resamples,
    )


def measure(
    marks: Marks,
    queries: Indices,
    rankings: Mapping[str, Ranking],
    topk: Sequence[int],
    left_out: Sequence[Indices] | None = None,
) -> dict[str, Figures]:
    """Per-query figures of several encoders over the same queries.

    Args:
        marks: the gallery.
        queries: rows of the queries, (q,).
        rankings: by encoder.
        topk: list lengths, none above the columns of the rankings.
        left_out: for each query the rows that are not searched besides its own; the rankings do not
            hold them.

    Returns:
        By encoder a figure for each metric, level, code set and k, and hit@k of each division.
        Queries without anything
        relevant are not scored, and a level at which no two marks share a code has no figures.
    """
    names = list(rankings)
    found: dict[str, Figures] = {name: {} for name in names}
    tops = [rankings[name].top for name in names]
    away = left_out if left_out is not None else [np.empty(0, np.int64)] * len(queries)
    searched = len(marks.groups) - 1 - np.array([len(rows) for rows in away], dtype=np.int64)
    for level in LEVELS:
        for codes in ("all", "figurative"):
            relevance = Relevance(marks.vienna, level, figurative=codes == "figurative")
            told = _in_blocks(relevance, queries, away, searched, tops, topk, (level, codes))
            for name, figures in zip(names, told, strict=True):
                found[name].update(figures)
            if (level, codes) == ("division", "all"):
                for name, top in zip(names, tops, strict=True):
                    found[name].update(_divisions(relevance, queries, top, topk, away))
    for name in names:
        found[name].update(_groups(rankings[name].mates, searched, topk))
    return found


def _in_blocks(
    relevance: Relevance,
    queries: Indices,
    away: Sequence[Indices],
    searched: Indices,
    tops: Sequence[Indices],
    topk: Sequence[int],
    place: tuple[str, str],
) -> list[Figures]:
    """`_at_level` for a few queries at once: what is relevant to each may be a third of all marks."""
    told: list[dict[Key, list[tuple[Floats, Floats]]]] = [defaultdict(list) for _ in tops]
    for begin in range(0, len(queries), _QUERIES_AT_ONCE):
        part = slice(begin, begin + _QUERIES_AT_ONCE)
        relevant = [
            _searched(*relevance.relevant(query), rows)
            for query, rows in zip(queries[part].tolist(), away[part], strict=True)
        ]
        some = [top[part] for top in tops]
        figures = _at_level(relevant, relevance.count, searched[part], some, topk, place)
        for mine, theirs in zip(told, figures, strict=True):
            for key, pair in theirs.items():
                mine[key].append(pair)
    return [
        {
            key: (np.concatenate([v for v, _ in parts]), np.concatenate([c for _, c in parts]))
            for key, parts in mine.items()
        }
        for mine in told
    ]


def _searched(rows: Indices, gains: Floats, away: Indices) -> tuple[Indices, Floats]:
    """Relevant rows and their gains without those that are left out."""
    if len(away) == 0:
        return rows, gains
    kept = ~np.isin(rows, away)
    return rows[kept], gains[kept]


def means(figures: Figures) -> dict[Key, float]:
    """The mean over queries of each figure."""
    return {key: float(values.mean()) for key, (values, _) in figures.items()}


def score_rows(
    figures: Figures,
    references: Mapping[str, Mapping[Key, float]],
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> list[Score]:
    """Figures as rows, each with its chance level, its interval and the references' means.

    A reference that lacks a figure has none in its row.
    """
    rows = []
    for key, (values, expected) in figures.items():
        metric, level, codes, k = key
        low, high = interval(values, seed, resamples)
        rows.append(
            Score(
                metric=metric,
                level=level,
                codes=codes,
                k=k,
                value=float(values.mean()),
                chance=float(expected.mean()),
                low=low,
                high=high,
                queries=len(values),
                references={name: told.get(key) for name, told in references.items()},
            )
        )
    return rows


def interval(values: Floats, seed: int, resamples: int = _RESAMPLES) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean over queries (Efron 1979)."""
    generator = np.random.default_rng(seed)
    count = len(values)
    step = max(1, _DRAWN_AT_ONCE // count)
    found = [
        values[generator.integers(0, count, (min(step, resamples - begin), count))].mean(axis=1)
        for begin in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(found), [0.025, 0.975])
    return float(low), float(high)


def _at_level(
    relevant: Sequence[tuple[Indices, Floats]],
    marks: int,
    searched: Indices,
    tops: Sequence[Indices],
    topk: Sequence[int],
    place: tuple[str, str],
) -> list[Figures]:
    """hit, precision, recall, map and ndcg at every k for one set of codes, by encoder.

    Args:
        relevant: for each query the relevant rows and their gains.
        marks: rows of the gallery.
        searched: how many of them each query searches, (q,).
        tops: what each encoder found, (q, K).
        topk: list lengths, none above K.
        place: level and code set.
    """
    longest = max(topk)
    gain_of = np.zeros(marks)
    kept = [i for i, (rows, _) in enumerate(relevant) if len(rows)]
    best = np.zeros((len(relevant), longest))
    listed = np.zeros((len(tops), len(relevant), longest))
    for i in kept:
        rows, gains = relevant[i]
        gain_of[rows] = gains
        for encoder, top in enumerate(tops):
            listed[encoder, i] = gain_of[top[i, :longest]]
        gain_of[rows] = 0
        if len(gains) > longest:
            gains = np.partition(gains, len(gains) - longest)[-longest:]
        best[i, : len(gains)] = np.sort(gains)[::-1]
    if not kept:
        return [{} for _ in tops]
    counts = np.array([len(relevant[i][0]) for i in kept])
    gain = np.array([relevant[i][1].sum() for i in kept]) / searched[kept]
    return [
        _at_lengths(one[kept], best[kept], counts, gain, searched[kept], topk, place)
        for one in listed
    ]


def _at_lengths(
    listed: Floats,
    best: Floats,
    relevant: Indices,
    mean_gain: Floats,
    gallery: Indices,
    topk: Sequence[int],
    place: tuple[str, str],
) -> Figures:
    """Every metric of an encoder's lists, with its chance level.

    Args:
        listed: gain at each rank of each query's list, (n, K).
        best: the highest gains there are, falling, padded with 0, (n, K).
        relevant: number of relevant marks by query, (n,).
        mean_gain: mean gain over the gallery by query, (n,).
        gallery: marks searched by query, (n,).
        topk: list lengths, none above K.
        place: level and code set.
    """
    hits = listed > 0
    found = hits.cumsum(1)
    precisions = found * hits / np.arange(1, listed.shape[1] + 1)
    discounts = 1 / np.log2(np.arange(2, listed.shape[1] + 2))
    figures: Figures = {}
    for k in topk:
        ideal = (best[:, :k] * discounts[:k]).sum(1)
        of_k = found[:, k - 1]
        told = {
            "hit": ((of_k > 0).astype(float), chance.hit_chance(relevant, gallery, k)),
            "precision": (of_k / k, chance.precision_chance(relevant, gallery)),
            "recall": (of_k / relevant, chance.recall_chance(relevant, gallery, k)),
            "map": (
                precisions[:, :k].sum(1) / np.minimum(relevant, k),
                chance.average_precision_chance(relevant, gallery, k),
            ),
            "ndcg": (
                (listed[:, :k] * discounts[:k]).sum(1) / ideal,
                chance.ndcg_chance(mean_gain, ideal, gallery, k),
            ),
        }
        figures |= {(metric, *place, k): pair for metric, pair in told.items()}
    return figures


def _columns(pairs: list[tuple[float, float]]) -> tuple[Floats, Floats]:
    """(value, chance) pairs as two arrays."""
    table = np.array(pairs, dtype=np.float64)
    return table[:, 0], table[:, 1]


def _divisions(
    relevance: Relevance,
    queries: Indices,
    top: Indices,
    topk: Sequence[int],
    away: Sequence[Indices],
) -> Figures:
    """hit@k of each division by itself, and their mean, so that common divisions count once."""
    found: dict[str, list[tuple[int, int, int]]] = {}  # rank of the first hit, relevant, searched
    for query, rows, gone in zip(queries.tolist(), top.tolist(), away, strict=True):
        for code in relevance.codes[query]:
            lost = sum(code in relevance.codes[row] for row in gone.tolist())
            others = len(relevance.holders[code]) - 1 - lost
            if others > 0:
                rank = next((i for i, row in enumerate(rows) if code in relevance.codes[row]), None)
                at = len(rows) if rank is None else rank
                found.setdefault(code, []).append((at, others, relevance.count - 1 - len(gone)))
    figures: Figures = {}
    for k in topk if found else ():
        pairs = []
        for code in sorted(found):
            ranks, others_of, searched = np.array(found[code], dtype=np.int64).T
            pair = ((ranks < k).astype(float), chance.hit_chance(others_of, searched, k))
            if k == min(topk):  # of longer lists nearly every division has its hit
                figures["hit", "division", code, k] = pair
            pairs.append((float(pair[0].mean()), float(pair[1].mean())))
        figures["hit", "division", "macro", k] = _columns(pairs)
    return figures


def _groups(mates: list[Indices], searched: Indices, topk: Sequence[int]) -> Figures:
    """Known-item figures: recall@k, average precision over everything, and METU's NAR."""
    collected: dict[Key, list[tuple[float, float]]] = {}
    for ranks, gallery in zip(mates, searched.tolist(), strict=True):
        others = len(ranks)
        if others < 1:
            continue
        for k in topk:
            pair = (float((ranks <= k).sum() / others), min(k, gallery) / gallery)
            collected.setdefault(("group_recall", "group", "all", k), []).append(pair)
        precision = float((np.arange(1, others + 1) / ranks).mean())
        expected = float(chance.average_precision_chance(others, gallery, gallery))
        collected.setdefault(("group_map", "group", "all", 0), []).append((precision, expected))
        own = float((1 + (np.arange(2, others + 2) / (ranks + 1)).sum()) / (others + 1))
        pair = (own, chance.metu_precision_chance(others, gallery))
        collected.setdefault(("group_metu_map", "group", "all", 0), []).append(pair)
        nar = normalised_average_rank(ranks, gallery + 1)
        random_nar = chance.nar_chance(others, gallery + 1)
        collected.setdefault(("group_nar", "group", "all", 0), []).append((nar, random_nar))
    return {key: _columns(pairs) for key, pairs in collected.items()}


def one_division(codes: str) -> bool:
    """Whether the `codes` of a figure name a single division."""
    return codes[:1].isdigit()


def normalised_average_rank(ranks: Indices, marks: int) -> float:
    """METU's NAR: (sum of ranks - n(n + 1)/2) / (N n), the query itself first in its own list.

    Tursun and Kalkan 2015. 0 is perfect and about 0.5 random.

    Args:
        ranks: ranks of the relevant marks, the query left out of the list, ties counted worst.
        marks: N, the query included.
    """
    n = len(ranks) + 1
    total = 1 + int((ranks + 1).sum())
    return (total - n * (n + 1) / 2) / (marks * n)
