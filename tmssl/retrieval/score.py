"""Ranked lists become figures, each beside its chance level and an interval over queries."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import LEVELS
from tmssl.retrieval import chance
from tmssl.retrieval.relevance import Relevance, group_mates
from tmssl.runs.events import Score

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_RESAMPLES = 1000
_DRAWN_AT_ONCE = 1 << 22  # random numbers of the bootstrap in memory at once


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


# (metric, level, codes, k); k is 0 for a figure over the whole ranking.
Key = tuple[str, str, str, int]
# Per-query values and chance levels of each figure, ((n,), (n,)).
Figures = dict[Key, tuple[Floats, Floats]]


def score(
    marks: Marks, queries: Rows, rankings: Mapping[str, Ranking], topk: Sequence[int], *,
    seed: int = 0, resamples: int = _RESAMPLES,
) -> list[Score]:  # fmt: skip
    """Every figure of an evaluation; the first ranking is evaluated, the others are references."""
    first, *others = rankings
    measured = measure(marks, queries, rankings, topk)
    return score_rows(
        measured[first], {name: means(measured[name]) for name in others}, seed=seed,
        resamples=resamples,
    )  # fmt: skip


def measure(
    marks: Marks, queries: Rows, rankings: Mapping[str, Ranking], topk: Sequence[int]
) -> dict[str, Figures]:
    """Per-query figures of several encoders over the same queries.

    Args:
        marks: the gallery.
        queries: rows of the queries, (q,).
        rankings: by encoder.
        topk: list lengths, none above the columns of the rankings.

    Returns:
        By encoder a figure for each metric, level, code set and k. Queries without anything
        relevant are not scored, and a level at which no two marks share a code has no figures.
    """
    names = list(rankings)
    found: dict[str, Figures] = {name: {} for name in names}
    tops = [rankings[name].top for name in names]
    for level in LEVELS:
        for codes in ("all", "figurative"):
            relevance = Relevance(marks.vienna, level, figurative=codes == "figurative")
            told = _at_level(relevance, queries, tops, topk, level, codes)
            for name, figures in zip(names, told, strict=True):
                found[name].update(figures)
            if (level, codes) == ("division", "all"):
                for name, top in zip(names, tops, strict=True):
                    found[name].update(_macro(relevance, queries, top, topk))
    for name in names:
        found[name].update(_groups(marks, queries, rankings[name].mates, topk))
    return found


def means(figures: Figures) -> dict[Key, float]:
    """The mean over queries of each figure."""
    return {key: float(values.mean()) for key, (values, _) in figures.items()}


def score_rows(
    figures: Figures, references: Mapping[str, Mapping[Key, float]], *, seed: int = 0,
    resamples: int = _RESAMPLES,
) -> list[Score]:  # fmt: skip
    """Figures as rows, each with its chance level, its interval and the references' means."""
    rows = []
    for key, (values, expected) in figures.items():
        metric, level, codes, k = key
        low, high = interval(values, seed, resamples)
        rows.append(
            Score(
                metric=metric, level=level, codes=codes, k=k, value=float(values.mean()),
                chance=float(expected.mean()), low=low, high=high, queries=len(values),
                references={name: told[key] for name, told in references.items()},
            )
        )  # fmt: skip
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
    relevance: Relevance, queries: Rows, tops: Sequence[Rows], topk: Sequence[int], level: str,
    codes: str,
) -> list[Figures]:  # fmt: skip
    """hit, precision, recall, map and ndcg at every k for one set of codes, by encoder."""
    longest = max(topk)
    gain_of = np.zeros(relevance.count)
    counts, means_of_gain, kept = [], [], []
    best = np.zeros((len(queries), longest))
    listed = np.zeros((len(tops), len(queries), longest))
    for i, query in enumerate(queries.tolist()):
        rows, gains = relevance.relevant(query)
        if len(rows) == 0:
            continue
        gain_of[rows] = gains
        for encoder, top in enumerate(tops):
            listed[encoder, i] = gain_of[top[i, :longest]]
        gain_of[rows] = 0
        if len(gains) > longest:
            gains_first = np.partition(gains, len(gains) - longest)[-longest:]
        else:
            gains_first = gains
        best[i, : len(gains_first)] = np.sort(gains_first)[::-1]
        counts.append(len(rows))
        means_of_gain.append(gains.sum() / (relevance.count - 1))
        kept.append(i)
    if not kept:
        return [{} for _ in tops]
    return [
        _at_lengths(
            one[kept], best[kept], np.array(counts), np.array(means_of_gain),
            relevance.count - 1, topk, (level, codes),
        )
        for one in listed
    ]  # fmt: skip


def _at_lengths(
    listed: Floats, best: Floats, relevant: Rows, mean_gain: Floats, gallery: int,
    topk: Sequence[int], place: tuple[str, str],
) -> Figures:  # fmt: skip
    """Every metric of an encoder's lists, with its chance level.

    Args:
        listed: gain at each rank of each query's list, (n, K).
        best: the highest gains there are, falling, padded with 0, (n, K).
        relevant: number of relevant marks by query, (n,).
        mean_gain: mean gain over the gallery by query, (n,).
        gallery: marks searched.
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


def _macro(relevance: Relevance, queries: Rows, top: Rows, topk: Sequence[int]) -> Figures:
    """hit@k of each division by itself, and their mean, so that common divisions count once."""
    gallery = relevance.count - 1
    found: dict[str, list[list[bool]]] = {}
    for query, rows in zip(queries.tolist(), top.tolist(), strict=True):
        for code in relevance.codes[query]:
            if len(relevance.holders[code]) > 1:
                rank = next((i for i, row in enumerate(rows) if code in relevance.codes[row]), None)
                hits = [rank is not None and rank < k for k in topk]
                found.setdefault(code, []).append(hits)
    if not found:
        return {}
    codes = sorted(found)
    values = np.array([np.mean(found[code], axis=0) for code in codes])
    others = np.array([len(relevance.holders[code]) - 1 for code in codes])
    return {
        ("hit", "division", "macro", k): (values[:, i], chance.hit_chance(others, gallery, k))
        for i, k in enumerate(topk)
    }


def _groups(marks: Marks, queries: Rows, mates: list[Rows], topk: Sequence[int]) -> Figures:
    """Known-item figures: recall@k, average precision over everything, and METU's NAR."""
    sizes = {group: len(rows) for group, rows in group_mates(marks.groups).items()}
    gallery = len(marks.groups) - 1
    collected: dict[Key, list[tuple[float, float]]] = {}
    for query, ranks in zip(queries.tolist(), mates, strict=True):
        others = sizes.get(marks.groups[query], 0) - 1
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
