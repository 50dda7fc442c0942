"""Which marks are in step s, and with which positives: pure functions of counters."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from tmssl.data.rng import random_bits, uniform
from tmssl.data.vienna import at_level, idf
from tmssl.errors import ConfigError
from tmssl.types import Floats, Indices

# The purpose of a draw, as a key of its hash; no two purposes share a number.
_ORDER, _SHARE, _CODE, _MARK = 101, 102, 103, 104


class CodeIndex:
    """Draws for a mark a partner that shares one of its Vienna codes.

    Among the codes of a mark, one is drawn in proportion to its inverse document frequency, so that
    26.11 and 27.05, which half of a register has, do not drown the rest.
    """

    def __init__(self, codes_per_mark: Sequence[Iterable[str]], level: str) -> None:
        cut = [sorted(at_level(codes, level)) for codes in codes_per_mark]
        weights = idf(cut)
        names = sorted(weights)
        number = {name: i for i, name in enumerate(names)}
        mark_of = np.repeat(np.arange(len(cut)), [len(codes) for codes in cut])
        code_of = np.array([number[code] for codes in cut for code in codes], dtype=np.int64)
        by_code = np.argsort(code_of, kind="stable")
        sizes = np.bincount(code_of, minlength=len(names))
        self.names = names
        self._marks = mark_of[by_code]
        self._code_start = np.concatenate([[0], np.cumsum(sizes)])
        self._codes = code_of
        self._mark_start = np.concatenate([[0], np.cumsum([len(codes) for codes in cut])])
        # A code of a single mark offers no partner. A code of all marks has hardly any weight, but one
        # that a running sum over 10 million pairs still resolves.
        shared = np.where(sizes > 1, np.maximum([weights[name] for name in names], 1e-6), 0.0)
        self._running = np.concatenate([[0.0], np.cumsum(shared[code_of])])
        # The position of each (mark, code) pair in the list of its code, to leave the mark itself out.
        rank = np.empty(len(code_of), dtype=np.int64)
        rank[by_code] = np.arange(len(code_of)) - self._code_start[code_of[by_code]]
        self._rank = rank

    def partners(self, samples: Indices, draws_code: Floats, draws_mark: Floats) -> Indices:
        """For each sample another mark that shares a code, or the sample itself when none does.

        Args:
            samples: marks, (n,).
            draws_code: numbers in [0, 1) that choose the code, (n,).
            draws_mark: numbers in [0, 1) that choose the mark, (n,).
        """
        if not len(self._codes):
            return samples
        begin, end = self._mark_start[samples], self._mark_start[samples + 1]
        low, high = self._running[begin], self._running[end]
        target = np.minimum(low + draws_code * (high - low), np.nextafter(high, low))
        pair = np.searchsorted(self._running, target, side="right") - 1
        has = high > low
        pair = np.where(has, np.clip(pair, begin, np.maximum(end - 1, begin)), 0)
        code = self._codes[pair]
        start = self._code_start[code]
        others = self._code_start[code + 1] - start - 1
        has &= others > 0
        chosen = np.floor(draws_mark * np.maximum(others, 1)).astype(np.int64)
        chosen += chosen >= self._rank[pair]
        return np.where(has, self._marks[np.where(has, start + chosen, 0)], samples)


@dataclasses.dataclass(frozen=True)
class Batch:
    """The marks of one step."""

    epoch: int
    anchors: Indices
    """rows of the pack seen in view 1, shape (n,)"""
    positives: Indices
    """rows seen in view 2; equal to the anchors under instance discrimination"""


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Steps in an epoch; marks that do not fill a last batch are left out of this epoch.

    Raises:
        ConfigError: there are fewer marks than a batch holds.
    """
    if count < 2:
        raise ConfigError(
            f"{count} marks are left to train on, and training takes two at least; add marks, or put "
            "fewer into the split `validation`"
        )
    if count < batch_size:
        raise ConfigError(
            f"{count} marks to train on do not fill a batch of {batch_size}; "
            f"give --batch-size {max(2, count)} or less, or more marks"
        )
    return count // batch_size


def order(count: int, seed: int, epoch: int) -> Indices:
    """A random permutation of range(count), the same for any number of workers."""
    return np.argsort(random_bits(seed, epoch, _ORDER, np.arange(count)), kind="stable").astype(
        np.int64
    )


class Sampler:
    """The batch of any step; it caches the order of one epoch and has no other state."""

    def __init__(
        self,
        rows: Indices,
        batch_size: int,
        seed: int,
        *,
        partners: CodeIndex | None = None,
        partner_share: float = 0.0,
    ) -> None:
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.steps_per_epoch = steps_per_epoch(len(rows), batch_size)
        self._partners = partners
        self._partner_share = partner_share
        self._cached: tuple[int, Indices] | None = None

    def batch(self, step: int) -> Batch:
        """The marks of step `step`, counted from 0 over the whole run."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._cached is None or self._cached[0] != epoch:
            self._cached = (epoch, order(len(self.rows), self.seed, epoch))
        begin = position * self.batch_size
        chosen = self._cached[1][begin : begin + self.batch_size]
        return Batch(epoch, self.rows[chosen], self.rows[self._positives(chosen, epoch)])

    def pairs(self, most: int, epoch: int) -> tuple[Indices, Indices]:
        """The first marks in an epoch's order, and the partner by code that each would have in it.

        Both are rows of the pack, (n,), n at most `most`; a mark without a partner is its own.
        """
        chosen = order(len(self.rows), self.seed, epoch)[:most]
        return self.rows[chosen], self.rows[self._partners_of(chosen, epoch)]

    def _positives(self, chosen: Indices, epoch: int) -> Indices:
        """The positive of each sample: itself, or a mark that shares a code with it."""
        if self._partners is None:
            return chosen
        by_code = uniform(self.seed, epoch, _SHARE, chosen) < self._partner_share
        return np.where(by_code, self._partners_of(chosen, epoch), chosen)

    def _partners_of(self, chosen: Indices, epoch: int) -> Indices:
        """A partner by code for each sample, where there are codes and it has one."""
        if self._partners is None:
            return chosen
        return self._partners.partners(
            chosen,
            uniform(self.seed, epoch, _CODE, chosen),
            uniform(self.seed, epoch, _MARK, chosen),
        )
