"""Regions of a mark that are compared on their own: what stands apart in it, and overlapping parts.

Whether a mark is known of which a part is shown, or that stands beside a word, one vector of the whole
cannot tell. Where blank strips cross a mark it is cut into blocks (recursive X-Y cuts, Nagy and Seth 1984);
a low block of several letters is a line of words, and so is what was read as lettering. Which regions are
taken, and in which order, was measured without lettering: docs/experiments.md.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from tmssl.data.preprocess import fit_square, ground_colour, ink_mask
from tmssl.types import Mask, Pixels

QUERY_REGIONS = 2
"""regions of a query, in regions of a mark: a mark may be a small part of what is searched for"""
DETAIL = 4
"""side of the square that a query's regions are cut from, in sides of the square that is compared"""

_GAP = 0.03  # of the square: a blank strip between blocks, at least
_LETTER_GAP = 0.2  # of a block's height: letters stand closer
_DEPTH = 4  # cuts within cuts
_DOT = 0.01  # of the mark's ink: a smaller block is no figure
_BLOCKS = 1 / 3  # of the regions are figures that stand apart, at most
_WORDS_HEIGHT = 0.4  # of the mark's longer side that a line of words takes, at most
_LETTERS, _LETTERS_WIDTH = (
    3,
    1.5,
)  # columns of ink of such a line, and its width in heights, at least
_JOINED_WIDTH = 4.0  # the same where its letters touch
_SCALES = (1, 2, 3)  # of squares: all of the shorter side, two thirds, half
_OVERLAP = 0.4  # of neighbouring squares
_MARGIN = 2 / 112  # of the square, kept around a region
_ROUNDING = 1e-6  # pixels
_SAME = 0.9  # of two boxes together lies in both: one region


class Box(NamedTuple):
    """A rectangle in shares of the square that a mark is fitted into, from its upper left corner."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Its share of the square; 0 where it is empty."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)


class Region(NamedTuple):
    """A rectangle of a mark that is compared on its own."""

    kind: str
    """`whole`, `figure` (without its lines of words), `block` (which stands apart) or `part`"""
    box: Box
    hidden: tuple[Box, ...] = ()
    """lines of words that are painted over in the colour of the ground"""
    read: tuple[Box, ...] = ()
    """lines of words that were read, which are painted over in the colour around them"""


WHOLE = Region("whole", Box(0.0, 0.0, 1.0, 1.0))


def find_regions(pixels: Pixels, count: int, lines: Sequence[Box] = ()) -> list[Region]:
    """At most so many regions of a mark, the whole first; the same for the same pixels and lines.

    Args:
        pixels: uint8 (s, s, 3), as the pack holds a mark.
        count: how many, from 1.
        lines: of words that were read in it; further ones are looked for in the rest.
    """
    if count == 1:
        return [WHOLE]
    ink = ink_mask(pixels)
    read = _low_lines(ink, lines)
    rest = _without(ink, read)
    side = len(ink)
    apart = [
        Box(*(length / side for length in block))
        for block in _blocks(rest, (0, 0, side, side), _DEPTH)
        if _ink_of(rest, block) >= _DOT * int(ink.sum())
    ]
    outer = _around([*apart, *read]) if apart or read else None
    chosen = [Region("whole", outer)] if outer else []
    candidates = _candidates(ink, rest, apart, read, round(_BLOCKS * count)) if outer else ()
    for region in candidates:
        if len(chosen) < count and all(_overlap(region, one) < _SAME for one in chosen):
            chosen.append(region)
    return [WHOLE, *chosen[1:]]


def cut_regions(
    square: Pixels, detail: Pixels, count: int, lines: Sequence[Box] = ()
) -> tuple[list[Region], Pixels]:
    """At most so many regions of a mark, and each fitted into a square as the mark itself is.

    Args:
        square: of the mark, uint8 (s, s, 3).
        detail: the same square in any resolution, from which the regions are cut.
        count: how many, from 1.
        lines: of words that were read in it.

    Returns:
        The regions, and their images, uint8 (n, s, s, 3).
    """
    regions = find_regions(square, count, lines)
    return regions, np.stack(
        [square, *(_cut(detail, region, len(square)) for region in regions[1:])]
    )


def _cut(pixels: Pixels, region: Region, size: int) -> Pixels:
    """A region of a square image as a square of another size."""
    side = len(pixels)
    if region.hidden or region.read:
        ground = ground_colour(pixels)
        colours = [ground_colour(_within(pixels, box, _MARGIN)) for box in region.read]
        pixels = pixels.copy()
        for box in region.hidden:
            _within(pixels, box)[:] = ground
        for box, colour in zip(region.read, colours, strict=True):
            _within(pixels, box)[:] = colour
    return fit_square(Image.fromarray(pixels).crop(_pixels(region.box, side, _MARGIN)), size)


def _pixels(box: Box, side: int, margin: float) -> tuple[int, int, int, int]:
    """A box with a margin in pixels of a square."""
    return (
        max(0, math.floor((box.left - margin) * side + _ROUNDING)),
        max(0, math.floor((box.top - margin) * side + _ROUNDING)),
        min(side, math.ceil((box.right + margin) * side - _ROUNDING)),
        min(side, math.ceil((box.bottom + margin) * side - _ROUNDING)),
    )


def _within(pixels: Pixels, box: Box, margin: float = 0.0) -> Pixels:
    """What lies in a box of a square, with a margin; a view of the same memory."""
    left, top, right, bottom = _pixels(box, len(pixels), margin)
    return pixels[top:bottom, left:right]


def _low_lines(ink: Mask, lines: Sequence[Box]) -> list[Box]:
    """The lines that are low, as lines of words are, each the box of the ink in it.

    That of a slanted word is not: it holds much besides.
    """
    side = len(ink)
    outer = _ink_box(ink, (0, 0, side, side))
    boxes = [_ink_box(ink, _pixels(line, side, _MARGIN)) for line in lines]
    if outer is None:
        return []
    longer = max(outer.right - outer.left, outer.bottom - outer.top)
    return [box for box in boxes if box and box.bottom - box.top <= _WORDS_HEIGHT * longer]


def _ink_box(ink: Mask, block: tuple[int, int, int, int]) -> Box | None:
    """The box around the ink in a block; None where there is none."""
    left, top, right, bottom = block
    part = ink[top:bottom, left:right]
    rows, columns = np.flatnonzero(part.any(1)).tolist(), np.flatnonzero(part.any(0)).tolist()
    if not rows:
        return None
    sides = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
    return Box(*(length / len(ink) for length in sides))


def _without(ink: Mask, lines: Sequence[Box]) -> Mask:
    """The ink beside some lines."""
    rest = ink.copy() if lines else ink
    for line in lines:
        left, top, right, bottom = _pixels(line, len(ink), 0.0)
        rest[top:bottom, left:right] = False
    return rest


def _candidates(
    ink: Mask, rest: Mask, apart: Sequence[Box], read: Sequence[Box], most_blocks: int
) -> Iterator[Region]:
    """Regions of a mark, the most telling first.

    Args:
        ink: of the mark.
        rest: the same without the lines that were read.
        apart: blocks of the rest.
        read: these lines.
        most_blocks: of the regions.
    """
    blocks = [*apart, *read]
    outer, side = _around(blocks), len(ink)
    longer = max(outer.right - outer.left, outer.bottom - outer.top)
    words = tuple(
        box
        for box in apart
        if box.bottom - box.top <= _WORDS_HEIGHT * longer and _is_line(rest, box)
    )
    figures = [box for box in apart if box not in words]
    if (words or read) and figures:
        yield Region("figure", _around(figures), words, tuple(read))
    largest = sorted(blocks, key=lambda box: -_ink_of(ink, _pixels(box, side, 0.0)))
    yield from (Region("block", box) for box in largest[:most_blocks])
    yield from (Region("part", box) for scale in _SCALES for box in _squares(outer, scale))


def _squares(outer: Box, scale: int) -> Iterator[Box]:
    """Overlapping squares in a box, of 2 / (scale + 1) of its shorter side, as R-MAC lays them.

    Tolias et al. 2016: as many as `scale` along the shorter side, and along the longer one as many more
    as make neighbours overlap by about 40 %.
    """
    width, height = outer.right - outer.left, outer.bottom - outer.top
    side = 2 * min(width, height) / (scale + 1)
    across, down = (
        max(scale, 1 + round((length - side) / ((1 - _OVERLAP) * side)))
        if length > min(width, height)
        else scale
        for length in (width, height)
    )
    for top in np.linspace(outer.top, outer.bottom - side, down).tolist():
        for left in np.linspace(outer.left, outer.right - side, across).tolist():
            yield Box(left, top, left + side, top + side)


def _around(boxes: Sequence[Box]) -> Box:
    """The smallest box around some."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return Box(min(left), min(top), max(right), max(bottom))


def _overlap(region: Region, other: Region) -> float:
    """The share of two regions' area together that lies in both; 0 where they hide different words."""
    if (region.hidden, region.read) != (other.hidden, other.read):
        return 0.0
    one, two = region.box, other.box
    both = Box(
        max(one.left, two.left),
        max(one.top, two.top),
        min(one.right, two.right),
        min(one.bottom, two.bottom),
    ).area
    return both / max(1e-9, one.area + two.area - both)


def _is_line(ink: Mask, box: Box) -> bool:
    """Whether a low block looks like a line of words."""
    left, top, right, bottom = _pixels(box, len(ink), 0.0)
    width = (right - left) / (bottom - top)
    letters = len(_runs(np.logical_or.reduce(ink[top:bottom, left:right], axis=0), 1))
    return width >= _JOINED_WIDTH or (width >= _LETTERS_WIDTH and letters >= _LETTERS)


def _ink_of(ink: Mask, block: tuple[int, int, int, int]) -> int:
    """Pixels of ink in a block."""
    left, top, right, bottom = block
    return int(ink[top:bottom, left:right].sum())


def _blocks(
    ink: Mask, block: tuple[int, int, int, int], depth: int
) -> list[tuple[int, int, int, int]]:
    """Blocks of ink (left, top, right, bottom) in pixels, cut along blank rows, then along blank columns."""
    left, top, right, bottom = block
    gap = max(2, _GAP * len(ink))
    rows = _runs(np.logical_or.reduce(ink[top:bottom, left:right], axis=1), gap)
    if not rows:
        return []
    if depth and len(rows) > 1:
        parts = [(left, top + begin, right, top + end) for begin, end in rows]
        return [found for part in parts for found in _blocks(ink, part, depth - 1)]
    top, bottom = top + rows[0][0], top + rows[-1][1]
    columns = _runs(
        np.logical_or.reduce(ink[top:bottom, left:right], axis=0),
        max(gap, _LETTER_GAP * min(bottom - top, len(ink) / 3)),
    )
    if depth and len(columns) > 1:
        parts = [(left + begin, top, left + end, bottom) for begin, end in columns]
        return [found for part in parts for found in _blocks(ink, part, depth - 1)]
    return [(left + columns[0][0], top, left + columns[-1][1], bottom)]


def _runs(line: Mask, gap: float) -> list[tuple[int, int]]:
    """Begin and end of each run of ink in a line; those less than a gap apart are one."""
    edges = np.flatnonzero(np.diff(line.astype(np.int8), prepend=0, append=0)).tolist()
    runs: list[tuple[int, int]] = []
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if runs and begin - runs[-1][1] < gap:
            runs[-1] = runs[-1][0], end
        else:
            runs.append((begin, end))
    return runs
