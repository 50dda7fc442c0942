"""Which marks are in step s, and with which positives: pure functions of counters."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tmssl.data.positives.partners import Partners
from tmssl.data.rng import random_bits, uniform
from tmssl.errors import ConfigError
from tmssl.types import Floats, Indices

# The purpose of a draw, as a key of its hash; no two purposes share a number.
_ORDER, _SHARE, _CODE, _CODE_MARK, _FIRST_VIEW, _SECOND_VIEW = range(101, 107)
_PARTNER = {"vienna": (_CODE, _CODE_MARK), "group": (107, 108), "title": (109, 110)}


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


def view_pairs(
    rows: Indices, views: int, seed: int, epoch: int, *, alike: bool
) -> tuple[Indices, Indices]:
    """Which two of the cached views of each mark an epoch compares, (n,) each; never the same one.

    Args:
        rows: the marks, (n,).
        views: cached views of a mark, 2 or more; even ones are drawn as first views, odd ones as second.
        seed: seed of the run.
        epoch: epoch, from 0.
        alike: whether first and second views have one distribution, so that any two may be compared.
    """
    first, second = (
        uniform(seed, epoch, _FIRST_VIEW, rows),
        uniform(seed, epoch, _SECOND_VIEW, rows),
    )
    if not alike:
        evens, odds = -(-views // 2), views // 2
        return 2 * _below(first, evens), 1 + 2 * _below(second, odds)
    chosen = _below(first, views)
    other = _below(second, views - 1)
    return chosen, other + (other >= chosen)


def _below(draws: Floats, count: int) -> Indices:
    """Whole numbers below `count` from draws in [0, 1)."""
    return np.floor(draws * count).astype(np.int64)


class Sampler:
    """The batch of any step; it caches the order of one epoch and has no other state."""

    def __init__(
        self, rows: Indices, batch_size: int, seed: int, *, mixture: Sequence[Partners] = ()
    ) -> None:
        """A sampler of some rows of the pack.

        Args:
            rows: the marks that are trained on, (n,).
            batch_size: marks of a batch.
            seed: seed of the run.
            mixture: partners, as places among the rows; what their shares leave is instance
                discrimination.
        """
        self.rows = rows
        self.batch_size = batch_size
        self.seed = seed
        self.mixture = tuple(mixture)
        self.steps_per_epoch = steps_per_epoch(len(rows), batch_size)
        self._cached: tuple[int, Indices] | None = None

    def batch(self, step: int) -> Batch:
        """The marks of step `step`, counted from 0 over the whole run."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._cached is None or self._cached[0] != epoch:
            self._cached = (epoch, order(len(self.rows), self.seed, epoch))
        begin = position * self.batch_size
        chosen = self._cached[1][begin : begin + self.batch_size]
        return Batch(epoch, self.rows[chosen], self.rows[self._positives(chosen, epoch)])

    def pairs(self, partners: Partners, most: int, epoch: int) -> tuple[Indices, Indices]:
        """The first marks in an epoch's order, and the partner of one kind that each would have in it.

        Both are rows of the pack, (n,), n at most `most`; a mark without a partner is its own.
        """
        chosen = order(len(self.rows), self.seed, epoch)[:most]
        return self.rows[chosen], self.rows[self._partners(partners, chosen, epoch)]

    def _positives(self, chosen: Indices, epoch: int) -> Indices:
        """The positive of each sample: itself, or by its draw a partner of a kind, where it has one."""
        positives = chosen.copy()
        drawn = uniform(self.seed, epoch, _SHARE, chosen)
        low = 0.0
        for partners in self.mixture:
            is_kind = (low <= drawn) & (drawn < low + partners.share)
            positives[is_kind] = self._partners(partners, chosen[is_kind], epoch)
            low += partners.share
        return positives

    def _partners(self, partners: Partners, chosen: Indices, epoch: int) -> Indices:
        """A partner of one kind for each sample that has one."""
        label, mark = _PARTNER[partners.kind]
        return partners.index.partners(
            chosen,
            uniform(self.seed, epoch, label, chosen),
            uniform(self.seed, epoch, mark, chosen),
        )
