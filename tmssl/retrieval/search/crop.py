"""A rectangle of a logo that is searched for alone, such as the figure without the word beside it."""

import math
import re
from typing import NamedTuple

from PIL import Image

from tmssl.errors import InputError
from tmssl.text import safe

_NUMBER = re.compile(r"\s*(\d{1,9}(?:\.\d{1,9})?)(%?)\s*")
_EXAMPLE = "give X,Y,WIDTH,HEIGHT from the upper left corner, in pixels or each with %"


class Crop(NamedTuple):
    """A rectangle of an image."""

    text: str
    """as it was given"""
    left: float
    top: float
    width: float
    height: float
    percent: bool
    """whether the numbers are percent of the image's sides; else pixels"""


def parse_crop(text: str) -> Crop:
    """`10,20,300,200` in pixels, or `10%,20%,50%,40%`.

    Raises:
        InputError: it is not four such numbers, or has no area.
    """
    parts = [_NUMBER.fullmatch(part) for part in text[:100].split(",")]
    found = [part.groups() for part in parts if part is not None]
    units = {unit for _, unit in found}
    if len(parts) != 4 or len(found) != 4 or len(units) != 1:
        raise InputError(f"--crop is '{safe(text, 60)}'; {_EXAMPLE}")
    left, top, width, height = (float(number) for number, _ in found)
    crop = Crop(text.strip(), left, top, width, height, units == {"%"})
    if not width or not height:
        raise InputError(f"--crop is '{safe(text, 60)}', which has no area; {_EXAMPLE}")
    if crop.percent and (left + width > 100 or top + height > 100):
        raise InputError(f"--crop is '{safe(text, 60)}', which ends beyond 100 %; make it smaller")
    return crop


def cut(image: Image.Image, crop: Crop, width: int, height: int) -> Image.Image:
    """The part of an image that a rectangle names.

    Args:
        image: as loaded, perhaps reduced.
        crop: the rectangle.
        width: of the image as stored, in pixels, to which a rectangle in pixels refers.
        height: of the same.

    Raises:
        InputError: the rectangle leaves the image.
    """
    across, down = (100.0, 100.0) if crop.percent else (float(width), float(height))
    if crop.left + crop.width > across or crop.top + crop.height > down:
        raise InputError(
            f"--crop is '{safe(crop.text, 60)}', and the image has {width} x {height} pixels; "
            "make the rectangle smaller"
        )
    horizontal, vertical = image.width / across, image.height / down
    left, top = math.floor(crop.left * horizontal), math.floor(crop.top * vertical)
    right = math.ceil((crop.left + crop.width) * horizontal)
    bottom = math.ceil((crop.top + crop.height) * vertical)
    return image.crop((left, top, min(right, image.width), min(bottom, image.height)))
