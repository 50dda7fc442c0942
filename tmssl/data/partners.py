"""Who shares a Vienna code with whom: the positives of weak supervision."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tmssl.data.vienna import at_level, rarity

Rows = npt.NDArray[np.int64]
Draws = npt.NDArray[np.float64]


class CodeIndex:
    """Code to marks and mark to codes, for drawing a partner that shares a code.

    A code is drawn with probability proportional to its rarity among the codes of a mark, so that
    26.11 and 27.05, which half of a register carries, do not drown the rest.
    """

    def __init__(self, codes_per_mark: Sequence[Iterable[str]], level: str) -> None:
        cut = [sorted(at_level(codes, level)) for codes in codes_per_mark]
        weights = rarity(cut)
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
        # A code held by one mark alone has no partner to offer.
        # One that all carry weighs next to nothing, yet enough to be told in a sum over 10 million.
        shared = np.where(sizes > 1, np.maximum([weights[name] for name in names], 1e-6), 0.0)
        self._running = np.concatenate([[0.0], np.cumsum(shared[code_of])])
        # Where in its code's list each (mark, code) pair stands, to leave the mark itself out.
        place = np.empty(len(code_of), dtype=np.int64)
        place[by_code] = np.arange(len(code_of)) - self._code_start[code_of[by_code]]
        self._place = place

    def partners(self, samples: Rows, draws_code: Draws, draws_mark: Draws) -> Rows:
        """Another mark sharing a code with each sample, or the sample itself when none does.

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
        chosen += chosen >= self._place[pair]
        return np.where(has, self._marks[np.where(has, start + chosen, 0)], samples)

    def partner(self, sample: int, draw_code: float, draw_mark: float) -> int:
        """`partners` for one sample."""
        found = self.partners(np.array([sample]), np.array([draw_code]), np.array([draw_mark]))
        return int(found[0])
