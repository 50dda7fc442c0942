"""Pictures as cells of two colours each, chosen by least squared error."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tui.pictures.glyphs import glyphs

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from tmssl.types import Pixels

_FLAT = 12.0  # squared error per part, summed over RGB, below which a cell has one colour
_BLOCK = 512  # cells that are tried at once: the sums stay in the cache, and BLAS starts no threads
_STEP = 8  # colours are rounded to multiples of it, so that more cells share one


@dataclasses.dataclass(frozen=True)
class Mosaic:
    """A picture as cells."""

    patterns: npt.NDArray[np.intp]
    """(rows, columns): which parts of a cell have the ink; see glyphs.py"""
    inks: npt.NDArray[np.uint8]
    """(rows, columns, 3): RGB of those parts"""
    papers: npt.NDArray[np.uint8]
    """(rows, columns, 3): RGB of the other parts"""


def mosaics(pictures: "Iterable[Pixels]", columns: int, rows: int, way: str) -> list[Mosaic]:
    """Pictures as cells; fitted without distortion (a cell is twice as high as wide), on white.

    Args:
        pictures: each uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
        way: `half`, `quadrant`, `sextant` or `octant`.
    """
    found = [_cells(one, columns, rows, way) for one in pictures]
    if not found:
        return []
    cells = np.concatenate(found)
    patterns, pairs = two_colours(cells, flat=_FLAT)
    colours = np.minimum((pairs / _STEP).round() * _STEP, 255).astype(np.uint8)
    colours[colours > 255 - _STEP] = 255  # white stays white
    shape = len(found), rows, columns
    return [
        Mosaic(*parts)
        for parts in zip(
            patterns.reshape(shape),
            colours[:, 1].reshape(*shape, 3),
            colours[:, 0].reshape(*shape, 3),
            strict=True,
        )
    ]


def stencils(
    pictures: "Iterable[Pixels]", columns: int, rows: int, way: str
) -> list[npt.NDArray[np.intp]]:
    """Pictures without colours: the patterns (rows, columns) of what is dark, split by Otsu's threshold."""
    found = []
    for pixels in pictures:
        grey = _cells(pixels, columns, rows, way).astype(np.float32) @ np.array(
            [0.299, 0.587, 0.114], np.float32
        )
        dark = grey <= _otsu(grey)
        patterns = (dark << np.arange(dark.shape[1])).sum(axis=1)
        found.append(patterns.reshape(rows, columns))
    return found


def _otsu(grey: npt.NDArray[np.float32]) -> float:
    """The threshold with the largest variance between what is below and above (Otsu 1979)."""
    levels = np.sort(grey, axis=None)
    below = np.arange(1, len(levels))
    sums = levels.cumsum(dtype=np.float64)
    means = sums[:-1] / below, (sums[-1] - sums[:-1]) / (len(levels) - below)
    spread = below * (len(levels) - below) * (means[1] - means[0]) ** 2
    at = int(spread.argmax())
    return float(levels[at]) if spread[at] > 0 else -1.0


def _cells(pixels: "Pixels", columns: int, rows: int, way: str) -> npt.NDArray[np.uint8]:
    """The parts of each cell of a fitted picture, (rows * columns, parts, 3), uint8."""
    across, down = glyphs(way).across, glyphs(way).down
    fitted = np.asarray(fit(pixels, (columns, 2 * rows), (columns * across, rows * down)))
    parts = fitted.reshape(rows, down, columns, across, 3).transpose(0, 2, 1, 3, 4)
    return parts.reshape(rows * columns, down * across, 3)


def two_colours(
    cells: npt.NDArray[np.uint8], flat: float = 0.0
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The pattern and the two colours of each cell with the least squared error.

    Every division of the parts in two is tried. With S the sum of one side's colours, each less the mean
    of all k parts, and n parts on that side, the error falls by |S|^2 k / (n (k - n)).

    Args:
        cells: uint8 (n, k, 3), the colours of the k parts of each cell.
        flat: squared error per part up to which a cell has one colour, its mean.

    Returns:
        The pattern (n,) whose bits are the parts of the second colour, and both colours (n, 2, 3).
    """
    count, parts, _ = cells.shape
    colours = cells.astype(np.float32)
    mean = colours.mean(axis=1)
    patterns = np.zeros(count, np.intp)
    pairs = np.stack([mean, mean], axis=1)
    errors = np.square(colours - mean[:, None]).sum(axis=(1, 2))
    uneven = np.flatnonzero(errors > flat * parts)
    members, weights = _divisions(parts)
    for begin in range(0, len(uneven), _BLOCK):
        rows = uneven[begin : begin + _BLOCK]
        centred = (colours[rows] - mean[rows, None]).transpose(2, 1, 0)
        sums = members @ centred  # (3, divisions, rows)
        best = (np.square(sums, out=sums).sum(axis=0) * weights[:, None]).argmax(axis=0)
        patterns[rows] = best + 1
        chosen = members[best]
        sides = np.stack([1 - chosen, chosen], axis=1)  # (rows, 2, k)
        pairs[rows] = (sides @ colours[rows]) / sides.sum(axis=2)[..., None]
    return patterns, pairs


@functools.cache
def _divisions(parts: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The divisions of a cell in two, as 0 or 1 by part, the last part being 0; and k / (n (k - n))."""
    patterns = np.arange(1, 2 ** (parts - 1))
    members = (patterns[:, None] >> np.arange(parts) & 1).astype(np.float32)
    count = members.sum(axis=1)
    return members, (parts / (count * (parts - count))).astype(np.float32)


def fit(pixels: "Pixels", box: tuple[int, int], size: tuple[int, int] | None = None) -> "Picture":
    """A picture fitted undistorted into a box on white, and drawn there in `size` pixels.

    Args:
        pixels: uint8 (h, w, 3).
        box: width and height in units of equal length.
        size: pixels of the result, which need not be square; those of the box by default.
    """
    from PIL import Image

    size = size or box
    picture = Image.fromarray(pixels)
    scale = min(box[0] / picture.width, box[1] / picture.height)
    width = max(1, round(picture.width * scale * size[0] / box[0]))
    height = max(1, round(picture.height * scale * size[1] / box[1]))
    fitted = picture.resize((width, height), Image.Resampling.BOX)
    if fitted.size == size:
        return fitted
    canvas = Image.new("RGB", size, "white")
    canvas.paste(fitted, ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas
