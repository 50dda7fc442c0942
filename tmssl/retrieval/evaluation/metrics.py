"""Retrieval metrics and their chance levels, by name: the place to add one.

Closed forms of chance levels are in `chance.py`; `scoring.py` applies the metrics to search results.
"""

import dataclasses
from collections.abc import Callable
from functools import cached_property

import numpy as np

from tmssl.retrieval.evaluation import chance
from tmssl.types import Floats, Indices


@dataclasses.dataclass(frozen=True)
class GradedLists:
    """The result lists of n queries, each of which has something relevant in the gallery."""

    gains: Floats
    """gain at each rank, 0 where the mark is not relevant, (n, K)"""
    best_gains: Floats
    """the highest gains in the gallery, falling, padded with 0, (n, K)"""
    relevant: Indices
    """number of relevant marks, (n,)"""
    mean_gain: Floats
    """mean gain over the gallery, (n,)"""
    gallery: Indices
    """number of marks searched, (n,)"""

    @cached_property
    def found(self) -> Indices:
        """Number of relevant marks up to each rank, (n, K)."""
        return (self.gains > 0).cumsum(1)

    def ideal(self, k: int) -> Floats:
        """DCG at k of the best possible list, (n,)."""
        return discounted_gain(self.best_gains, k)


def discounted_gain(gains: Floats, k: int) -> Floats:
    """DCG at k, (n,)."""
    return np.asarray((gains[:, :k] * (1 / np.log2(np.arange(2, k + 2)))).sum(1))


def hit(lists: GradedLists, k: int) -> Floats:
    """1 where any of the first k marks is relevant."""
    return (lists.found[:, k - 1] > 0).astype(float)


def precision(lists: GradedLists, k: int) -> Floats:
    """Share of the first k marks that are relevant."""
    return lists.found[:, k - 1] / k


def recall(lists: GradedLists, k: int) -> Floats:
    """Share of the relevant marks that are among the first k."""
    return lists.found[:, k - 1] / lists.relevant


def average_precision(lists: GradedLists, k: int) -> Floats:
    """Sum of the precisions at the relevant ranks up to k, over min(relevant marks, k)."""
    precisions = lists.found[:, :k] * (lists.gains[:, :k] > 0) / np.arange(1, k + 1)
    return np.asarray(precisions.sum(1) / np.minimum(lists.relevant, k))


def ndcg(lists: GradedLists, k: int) -> Floats:
    """DCG at k over that of the best possible list."""
    return discounted_gain(lists.gains, k) / lists.ideal(k)


ListMetric = Callable[[GradedLists, int], Floats]

# Metrics of the first k marks: name -> value and chance level, both (lists, k) -> (n,).
LIST_METRICS: dict[str, tuple[ListMetric, ListMetric]] = {
    "hit": (hit, lambda of, k: chance.hit_chance(of.relevant, of.gallery, k)),
    "precision": (precision, lambda of, k: chance.precision_chance(of.relevant, of.gallery)),
    "recall": (recall, lambda of, k: chance.recall_chance(of.relevant, of.gallery, k)),
    "map": (
        average_precision,
        lambda of, k: chance.average_precision_chance(of.relevant, of.gallery, k),
    ),
    "ndcg": (ndcg, lambda of, k: chance.ndcg_chance(of.mean_gain, of.ideal(k), of.gallery, k)),
}


def group_average_precision(ranks: Indices, gallery: int) -> float:
    """Mean precision at the ranks of the group."""
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def metu_average_precision(ranks: Indices, gallery: int) -> float:
    """METU's average precision, which counts the query as the first of its own list."""
    others = len(ranks)
    return float((1 + (np.arange(2, others + 2) / (ranks + 1)).sum()) / (others + 1))


def normalised_average_rank(ranks: Indices, gallery: int) -> float:
    """METU's NAR: (sum of ranks - n(n + 1)/2) / (N n); 0 is perfect and about 0.5 is random.

    The query is the first of its own list, so n = len(ranks) + 1 and N = gallery + 1
    (Tursun and Kalkan 2015).
    """
    n = len(ranks) + 1
    total = 1 + int((ranks + 1).sum())
    return (total - n * (n + 1) / 2) / ((gallery + 1) * n)


# Metrics of the ranks of a query's group in the whole ranking: name -> value, (ranks, gallery), and
# chance level, (number of ranks, gallery). Ranks count from 1, without the query.
GROUP_METRICS: dict[str, tuple[Callable[[Indices, int], float], Callable[[int, int], float]]] = {
    "group_map": (
        group_average_precision,
        lambda others, gallery: float(chance.average_precision_chance(others, gallery, gallery)),
    ),
    "group_metu_map": (metu_average_precision, chance.metu_precision_chance),
    "group_nar": (
        normalised_average_rank,
        lambda others, gallery: chance.nar_chance(others, gallery + 1),
    ),
}
