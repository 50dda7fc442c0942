"""What a random ranking would score, in closed form.

A query has R relevant marks among the G searched; a random ranking puts each relevant mark at any
rank with equal probability. R and G may differ by query.
"""

import functools

import numpy as np
import numpy.typing as npt

from tmssl.types import Floats

Counts = npt.ArrayLike  # a whole number, or one for each query, (n,)


@functools.lru_cache(maxsize=2)
def _log_factorials(largest: int) -> Floats:
    """log(n!) for n up to `largest`."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])


def hit_chance(relevant: Counts, gallery: Counts, k: int) -> Floats:
    """P(at least one relevant among the first k) = 1 - C(G - R, k) / C(G, k), hypergeometric."""
    wanted, searched = np.asarray(relevant, dtype=np.int64), np.asarray(gallery, dtype=np.int64)
    logs = _log_factorials(int(searched.max()))
    length = np.minimum(k, searched)
    others = searched - wanted
    fits = others >= length
    safe_others = np.where(fits, others, length)
    log_none = (
        logs[safe_others] - logs[safe_others - length] - logs[searched] + logs[searched - length]
    )
    return np.where(fits, 1 - np.exp(log_none), 1.0)


def precision_chance(relevant: Counts, gallery: Counts) -> Floats:
    """Expected share of relevant marks among the first k: R / G for every k."""
    return np.asarray(np.asarray(relevant, dtype=np.float64) / np.asarray(gallery))


def recall_chance(relevant: Counts, gallery: Counts, k: int) -> Floats:
    """Expected share of the relevant marks found among the first k: k / G."""
    share = np.minimum(k, gallery) / np.asarray(gallery, dtype=np.float64)
    return np.broadcast_to(share, np.shape(relevant)).copy()


def average_precision_chance(relevant: Counts, gallery: Counts, k: Counts) -> Floats:
    """Expected average precision at k of a random ranking, normalised by min(R, k).

    E[sum over ranks i <= k of rel_i (1 + relevant before i) / i]
    = sum_i (R/G) (1 + (i - 1)(R - 1)/(G - 1)) / i.
    """
    wanted, searched = np.asarray(relevant, dtype=np.float64), np.asarray(gallery, dtype=np.int64)
    length = np.minimum(k, searched)
    harmonic = _harmonic(int(length.max()))[length]
    others = np.maximum(1, searched - 1)
    # The sum over i of (i - 1) / i is k less the harmonic number.
    expected = wanted / searched * (harmonic + (length - harmonic) * (wanted - 1) / others)
    return np.asarray(expected / np.maximum(1, np.minimum(wanted, length)))


@functools.lru_cache(maxsize=16)
def _harmonic(largest: int) -> Floats:
    """1 + 1/2 + ... + 1/k for k from 0 to `largest`."""
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, largest + 1))])


def ndcg_chance(mean_gain: npt.ArrayLike, ideal: npt.ArrayLike, gallery: Counts, k: int) -> Floats:
    """Expected nDCG at k: every rank holds the mean gain of the gallery.

    Args:
        mean_gain: mean over the G marks of their gain, by query, (n,).
        ideal: DCG at k of the best ranking, by query, (n,), above 0.
        gallery: G.
        k: length of the list.
    """
    discounts = np.cumsum([0.0, *(1 / np.log2(np.arange(2, k + 2)))])[np.minimum(k, gallery)]
    return np.asarray(np.asarray(mean_gain, dtype=np.float64) * discounts / np.asarray(ideal))


def metu_precision_chance(others: int, gallery: int) -> float:
    """Expected average precision of a random ranking behind the query, itself first in its own list.

    A mark at rank i of the G is at i + 1 of that list, with itself, the query and the relevant ones
    before it: (1 + sum over i of (R/G) (2 + (i - 1)(R - 1)/(G - 1)) / (i + 1)) / (R + 1).

    Args:
        others: R, relevant marks besides the query.
        gallery: G.
    """
    harmonic = float(_harmonic(gallery + 1)[-1]) - 1  # the sum of 1 / (i + 1)
    before = (others - 1) / max(1, gallery - 1)
    expected = others / gallery * (2 * harmonic + before * (gallery - 2 * harmonic))
    return (1 + expected) / (others + 1)


def nar_chance(others: int, marks: int) -> float:
    """Expected normalised average rank of a random ranking that puts the query itself first.

    NAR = (sum of ranks - n(n + 1)/2) / (N n) over the n = others + 1 relevant marks (Tursun and
    Kalkan 2015); each of the others has a rank uniform in 2 to N.
    """
    n = others + 1
    return (1 + others * (1 + marks / 2) - n * (n + 1) / 2) / (marks * n)
