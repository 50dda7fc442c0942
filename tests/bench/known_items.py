"""Known items: whether a mark's nearest, of all that another hand drew, is of the same brand."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from tmssl.data.pack.reader import Pack
from tmssl.data.sources.marks import Mark
from tmssl.types import Floats, Vectors

Bools = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]

_OUTLINE = 32  # pixels of a side
_INK = 32  # of 255 that a pixel's darkest or most coloured channel is away from white
_SAME_OUTLINE = 0.9  # of the ink of two marks lies in both, and more: one drawing in other colours
_BLOCK = 512  # queries at once


def known_items(marks: list[Mark]) -> tuple[Numbers, Numbers]:
    """What each mark is and who drew it, as numbers, (n,) each."""
    items, hands = [], []
    for row, mark in enumerate(marks):
        path = Path(mark.path)
        labelled = bool(mark.group)
        items.append(mark.group if labelled else path.stem)
        hands.append(mark.extra.get("hand", str(row)) if labelled else path.parts[0])
    return np.unique(items, return_inverse=True)[1], np.unique(hands, return_inverse=True)[1]


@dataclasses.dataclass(frozen=True)
class Found:
    """What each query found that has something right to find, (q,) each."""

    rows: Numbers
    wrong_before: Numbers
    """marks of others that come before the first right one; ties count against"""
    precision: Floats
    """average precision over the whole ranking"""

    @property
    def hits(self) -> Floats:
        """1 where the nearest mark is right."""
        return (self.wrong_before < 1).astype(np.float64)


def find(vectors: Vectors, marks: list[Mark], left_out: Bools | None = None) -> Found:
    """Rank for every mark all that another hand drew.

    Args:
        vectors: unit vectors (n, f).
        marks: the n marks.
        left_out: (n, n), pairs of marks that are not compared.
    """
    items, hands = known_items(marks)
    rows_of, wrong, precisions = [], [], []
    for rows in np.array_split(np.arange(len(marks)), -(-len(marks) // _BLOCK)):
        others = hands[rows, None] != hands
        if left_out is not None:
            others &= ~left_out[rows]
        same = others & (items[rows, None] == items)
        near = vectors[rows] @ vectors.T
        for row, own, its_others, its_near in zip(rows, same, others, near, strict=True):
            if own.any():
                right = np.sort(its_near[own])[::-1]
                falling = np.sort(its_near[its_others & ~own])
                # As many marks of others are at least as near as each right one.
                before = len(falling) - np.searchsorted(falling, right)
                places = np.arange(1, len(right) + 1)
                rows_of.append(row)
                wrong.append(before[0])
                precisions.append((places / (places + before)).mean())
    return Found(np.array(rows_of), np.array(wrong), np.array(precisions))


def wrong_before(vectors: Vectors, marks: list[Mark]) -> Numbers:
    """How many marks of others come before the first right one, for each mark that has one, (q,).

    Whatever the same hand drew is left out, and ties count against.
    """
    return find(vectors, marks).wrong_before


def figures(vectors: Vectors, marks: list[Mark]) -> tuple[float, float]:
    """Known-item hit@1 and hit@10."""
    wrong = wrong_before(vectors, marks)
    return float((wrong < 1).mean()), float((wrong < 10).mean())


def same_outline(pack: Pack) -> Bools:
    """Which pairs of marks are one drawing in other colours, (n, n): their ink is nearly the same.

    Ink is what differs from white in the mark's square; two are the same where at least 90 % of the
    pixels that are ink in either, at 32 px, are ink in both.
    """
    masks = []
    for begin in range(0, pack.count, _BLOCK):
        pixels = torch.from_numpy(pack.read(range(begin, min(begin + _BLOCK, pack.count))))
        ink = (255 - pixels.amin(3)).float().gt(_INK).float()[:, None]
        masks.append(functional.adaptive_avg_pool2d(ink, _OUTLINE).gt(0.5).flatten(1))
    flat = torch.cat(masks).float()
    both, each = flat @ flat.T, flat.sum(1)
    shared: Bools = (both >= _SAME_OUTLINE * (each[:, None] + each - both)).numpy()
    return shared


def lead(
    ours: Floats, theirs: Floats, brands: Numbers, seed: int = 0
) -> tuple[float, float, float]:
    """Mean difference of two figures of the same queries, with its 95 % interval by a bootstrap over brands.

    Brands are drawn with replacement, each with all of its queries (Efron 1979).
    """
    numbers = np.unique(brands, return_inverse=True)[1]
    differences = np.bincount(numbers, ours - theirs)
    queries = np.bincount(numbers)
    drawn = np.random.default_rng(seed).integers(0, len(queries), (1000, len(queries)))
    means = differences[drawn].sum(1) / queries[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float((ours - theirs).mean()), float(low), float(high)
