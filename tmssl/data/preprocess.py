"""Fitting a picture into a square: cropped to its ink, on its own ground, without distortion."""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from tmssl.types import Mask, Pixels

INK = 24  # grey levels between a pixel and the ground from which it counts as ink
MARGIN = 0.04  # kept around the ink, as a share of its longer side


def ground_colour(pixels: Pixels) -> Pixels:
    """The background colour of an image: the median of its border, uint8 (3,)."""
    return np.median(_border(pixels), axis=0).astype(np.uint8)


def _border(pixels: Pixels) -> Pixels:
    """The outermost pixels, (n, 3)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _is_ink(pixels: Pixels, ground: Pixels) -> npt.NDArray[np.bool_]:
    """Which channels of pixels (..., 3) differ from those of the ground, (..., 3).

    Channels are not reduced here: a reduction over a last axis of 3 costs more than all the rest.
    """
    low = np.maximum(ground, INK) - INK
    high = np.minimum(ground, 255 - INK) + INK
    return (pixels < low) | (pixels > high)


def ink_mask(pixels: Pixels) -> Mask:
    """Where an image, uint8 (h, w, 3), differs from its ground, (h, w)."""
    return np.logical_or.reduce(_is_ink(pixels, ground_colour(pixels)), axis=-1)


def has_even_border(pixels: Pixels, ground: Pixels) -> bool:
    """Whether at least 95 % of the border has the colour of the ground."""
    return bool(_is_ink(_border(pixels), ground).any(-1).mean() <= 0.05)


def ink_box(pixels: Pixels) -> tuple[int, int, int, int]:
    """The box (left, top, right, bottom) of what differs from the ground, with a small margin.

    It is the whole image when the border is not of one colour (a full-bleed picture) or nothing
    differs.

    Args:
        pixels: uint8 (h, w, 3).
    """
    height, width = pixels.shape[:2]
    ground = ground_colour(pixels)
    whole = (0, 0, width, height)
    if not has_even_border(pixels, ground):
        return whole
    ink = _is_ink(pixels, ground)
    rows = np.flatnonzero(ink.reshape(height, -1).any(1))
    columns = np.flatnonzero(np.logical_or.reduce(ink, axis=0).any(1))
    if len(rows) == 0:
        return whole
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = math.ceil(MARGIN * longer)
    return (
        max(0, int(columns[0]) - margin),
        max(0, int(rows[0]) - margin),
        min(width, int(columns[-1]) + 1 + margin),
        min(height, int(rows[-1]) + 1 + margin),
    )


def fit_square(image: Image.Image, size: int) -> Pixels:
    """Crop to the ink, then fit into a square without distortion.

    The square is filled with the colour of the ground where the border has one colour, so that a logo
    keeps its coloured ground, and with white otherwise.

    Args:
        image: RGB.
        size: side of the square in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    pixels = np.asarray(image, dtype=np.uint8)
    ground = ground_colour(pixels)
    even = has_even_border(pixels, ground)
    cropped = image.crop(ink_box(pixels))
    scale = size / max(cropped.size)
    width, height = (max(1, round(side * scale)) for side in cropped.size)
    resized = cropped.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    fill = tuple(int(v) for v in ground) if even else (255, 255, 255)
    square = Image.new("RGB", (size, size), fill)
    square.paste(resized, ((size - width) // 2, (size - height) // 2))
    return np.asarray(square, dtype=np.uint8)
