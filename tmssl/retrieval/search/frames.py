"""Frames around the regions of pictures that were compared."""

import numpy as np

from tmssl.retrieval.search.results import ComparedRegion
from tmssl.types import Pixels

_COLOUR = (214, 39, 160)  # which few marks have
_WIDTH = 1 / 56  # of the side of the picture


def framed_region(pixels: Pixels, region: ComparedRegion | None) -> Pixels:
    """A square picture, uint8 (s, s, 3), with a frame around a region of it; unchanged for the whole."""
    if region is None:
        return pixels
    framed, side = pixels.copy(), len(pixels)
    width = max(1, round(_WIDTH * side))
    edges = np.array([region.left, region.top, region.right, region.bottom])
    left, top, right, bottom = (edges * side).round().astype(int).clip(0, side).tolist()
    framed[top : top + width, left:right] = framed[max(0, bottom - width) : bottom, left:right] = (
        _COLOUR
    )
    framed[top:bottom, left : left + width] = framed[top:bottom, max(0, right - width) : right] = (
        _COLOUR
    )
    return framed
