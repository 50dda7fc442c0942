"""For a mark another one that shares a label with it, by draws from outside."""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from tmssl.data.positives.titles import shared_texts
from tmssl.data.sources.marks import MarkTable
from tmssl.data.vienna import at_level, idf
from tmssl.errors import ConfigError
from tmssl.positives import LABELLED
from tmssl.text import safe
from tmssl.types import Floats, Indices

_LABELS = {
    "vienna": ("a Vienna code", "labels with codes"),
    "group": ("a group", "a column `group`, or --folders group"),
    "title": ("a text", "a column `title`"),
}
_SHOWN = 3  # texts that were left out


class PartnerIndex:
    """Draws for a mark a partner that shares one of its labels, such as a Vienna code.

    Among the labels of a mark, one is drawn in proportion to its inverse document frequency, so that
    26.11 and 27.05, which half of a register has, do not drown the rest.
    """

    def __init__(self, labels_per_mark: Sequence[Iterable[str]]) -> None:
        labels = [sorted(set(each)) for each in labels_per_mark]
        weights = idf(labels)
        names = sorted(weights)
        number = {name: i for i, name in enumerate(names)}
        mark_of = np.repeat(np.arange(len(labels)), [len(each) for each in labels])
        label_of = np.array([number[name] for each in labels for name in each], dtype=np.int64)
        by_label = np.argsort(label_of, kind="stable")
        sizes = np.bincount(label_of, minlength=len(names))
        self.names = names
        self._marks = mark_of[by_label]
        self._label_start = np.concatenate([[0], np.cumsum(sizes)])
        self._labels = label_of
        self._mark_start = np.concatenate([[0], np.cumsum([len(each) for each in labels])])
        # A label of a single mark offers no partner. One of all marks has hardly any weight, but one
        # that a running sum over 10 million pairs still resolves.
        shared = np.where(sizes > 1, np.maximum([weights[name] for name in names], 1e-6), 0.0)
        self._running = np.concatenate([[0.0], np.cumsum(shared[label_of])])
        # The position of each (mark, label) pair in the list of its label, to leave the mark itself out.
        rank = np.empty(len(label_of), dtype=np.int64)
        rank[by_label] = np.arange(len(label_of)) - self._label_start[label_of[by_label]]
        self._rank = rank
        self.has_partners = bool((sizes > 1).any())

    def partners(self, samples: Indices, draws_label: Floats, draws_mark: Floats) -> Indices:
        """For each sample another mark that shares a label, or the sample itself when none does.

        Args:
            samples: marks, (n,).
            draws_label: numbers in [0, 1) that choose the label, (n,).
            draws_mark: numbers in [0, 1) that choose the mark, (n,).
        """
        if not len(self._labels):
            return samples
        begin, end = self._mark_start[samples], self._mark_start[samples + 1]
        low, high = self._running[begin], self._running[end]
        target = np.minimum(low + draws_label * (high - low), np.nextafter(high, low))
        pair = np.searchsorted(self._running, target, side="right") - 1
        has = high > low
        pair = np.where(has, np.clip(pair, begin, np.maximum(end - 1, begin)), 0)
        label = self._labels[pair]
        start = self._label_start[label]
        others = self._label_start[label + 1] - start - 1
        has &= others > 0
        chosen = np.floor(draws_mark * np.maximum(others, 1)).astype(np.int64)
        chosen += chosen >= self._rank[pair]
        return np.where(has, self._marks[np.where(has, start + chosen, 0)], samples)


@dataclasses.dataclass(frozen=True)
class Partners:
    """One kind of positives of two marks in a mixture."""

    kind: str
    """`vienna`, `group` or `title`"""
    share: float
    """of all positives"""
    index: PartnerIndex
    left_out: int = 0
    """marks whose label is left out, being on too many of them"""
    examples: tuple[str, ...] = ()
    """some of these labels, the most frequent first"""


def find_partners(
    marks: MarkTable, rows: Indices, shares: dict[str, float], *, vienna_level: str
) -> list[Partners]:
    """The partners of a mixture, among some marks alone: none is ever from outside them.

    Args:
        marks: the marks of a pack.
        rows: those that are trained on, (n,); an index counts in them.
        shares: kinds of positives to their shares.
        vienna_level: level at which two marks share a code.

    Raises:
        ConfigError: no mark has a label of some kind, or no two have the same group or text.
    """
    found = []
    for kind in LABELLED:
        if kind not in shares:
            continue
        labels, left_out = _labels(marks, rows, kind)
        if not any(labels):
            raise _lacking(kind, f"no mark has {_LABELS[kind][0]}")
        if kind == "vienna":
            labels = [tuple(at_level(codes, vienna_level)) for codes in labels]
        index = PartnerIndex(labels)
        if kind != "vienna" and not index.has_partners:  # a coarser level may give codes a partner
            raise _lacking(kind, f"no two marks have the same {kind}")
        examples = tuple(safe(text, 40) for text in list(left_out)[:_SHOWN])
        found.append(Partners(kind, shares[kind], index, sum(left_out.values()), examples))
    return found


def _labels(
    marks: MarkTable, rows: Indices, kind: str
) -> tuple[list[tuple[str, ...]], dict[str, int]]:
    """The labels of each row, and those that are left out, to the marks that have them."""
    if kind == "vienna":
        codes = marks.codes()
        return [codes[row] for row in rows], {}
    column = marks.column(kind, str, "")
    texts = [column[row] for row in rows]
    left_out: dict[str, int] = {}
    if kind == "title":
        texts, left_out = shared_texts(texts)
    return [(text,) if text else () for text in texts], left_out


def _lacking(kind: str, lack: str) -> ConfigError:
    """The error of positives that the labels do not allow."""
    return ConfigError(
        f"positives are to be of the kind {kind}, and {lack} to train on; use --positives instance, or "
        f"{_LABELS[kind][1]}"
    )
