"""What a random ranking would score, in closed form.

A query has R relevant marks among the G searched; a random ranking puts each relevant mark at any
rank with equal probability.
"""

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@functools.lru_cache(maxsize=2)
def _log_factorials(largest: int) -> Floats:
    """log(n!) for n up to `largest`."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])


def hit_chance(relevant: npt.ArrayLike, gallery: int, k: int) -> Floats:
    """P(at least one relevant among the first k) = 1 - C(G - R, k) / C(G, k), hypergeometric."""
    wanted = np.asarray(relevant, dtype=np.int64)
    k = min(k, gallery)
    logs = _log_factorials(gallery)
    others = gallery - wanted
    fits = others >= k
    safe_others = np.where(fits, others, k)
    log_none = logs[safe_others] - logs[safe_others - k] - logs[gallery] + logs[gallery - k]
    return np.where(fits, 1 - np.exp(log_none), 1.0)


def precision_chance(relevant: npt.ArrayLike, gallery: int) -> Floats:
    """Expected share of relevant marks among the first k: R / G for every k."""
    return np.asarray(relevant, dtype=np.float64) / gallery


def recall_chance(relevant: npt.ArrayLike, gallery: int, k: int) -> Floats:
    """Expected share of the relevant marks found among the first k: k / G."""
    return np.full(np.shape(relevant), min(k, gallery) / gallery)


def average_precision_chance(relevant: npt.ArrayLike, gallery: int, k: int) -> Floats:
    """Expected average precision at k of a random ranking, normalised by min(R, k).

    E[sum over ranks i <= k of rel_i (1 + relevant before i) / i]
    = sum_i (R/G) (1 + (i - 1)(R - 1)/(G - 1)) / i.
    """
    wanted = np.asarray(relevant, dtype=np.float64)
    k = min(k, gallery)
    harmonic = _harmonic(k)
    others = max(1, gallery - 1)
    # The sum over i of (i - 1) / i is k less the harmonic number.
    expected = wanted / gallery * (harmonic + (k - harmonic) * (wanted - 1) / others)
    return expected / np.maximum(1, np.minimum(wanted, k))


@functools.lru_cache(maxsize=16)
def _harmonic(k: int) -> float:
    """1 + 1/2 + ... + 1/k."""
    return float((1 / np.arange(1, k + 1)).sum())


def ndcg_chance(mean_gain: npt.ArrayLike, ideal: npt.ArrayLike, gallery: int, k: int) -> Floats:
    """Expected nDCG at k: every rank holds the mean gain of the gallery.

    Args:
        mean_gain: mean over the G marks of their gain, by query, (n,).
        ideal: DCG at k of the best ranking, by query, (n,), above 0.
        gallery: G.
        k: length of the list.
    """
    discounts = 1 / np.log2(np.arange(2, min(k, gallery) + 2))
    return np.asarray(mean_gain, dtype=np.float64) * discounts.sum() / np.asarray(ideal)


def nar_chance(others: int, marks: int) -> float:
    """Expected normalised average rank of a random ranking that puts the query itself first.

    NAR = (sum of ranks - n(n + 1)/2) / (N n) over the n = others + 1 relevant marks (Tursun and
    Kalkan 2015); each of the others has a rank uniform in 2 to N.
    """
    n = others + 1
    return (1 + others * (1 + marks / 2) - n * (n + 1) / 2) / (marks * n)
