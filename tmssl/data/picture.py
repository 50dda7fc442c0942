"""One image file becomes RGB on white, cropped to its ink and fitted into a square.

Pack, query and index go through `picture_square`, so what is compared was treated alike.
"""

import math
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from tmssl.errors import PackError
from tmssl.text import safe

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 scan; more is a bomb or a mistake
MAX_ASPECT = 50.0  # a longer strip would be a hairline in any square

_INK = 24  # grey levels away from the ground from which a pixel counts as ink
_MARGIN = 0.04  # of the ink's longer side, left around it

Pixels = npt.NDArray[np.uint8]


class UnreadableError(PackError):
    """An image that goes to the quarantine; the message is the reason."""


def read_picture(file: Path | BinaryIO) -> Image.Image:
    """The first frame of an image file as RGB on white, upright by its EXIF orientation.

    JPEG, PNG, GIF, WEBP, BMP and TIFF are told by their content, whatever the name says.

    Raises:
        UnreadableError: the reason in a few words.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and large images; the limits below are what counts.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                _check_size(*image.size)
                if image.format == "JPEG":
                    image.draft("RGB", (1024, 1024))  # decode a huge scan at a lower scale
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                return on_white(image)
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image of a known format, or empty") from None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # Pillow's decoders report damage as any of these.
        raise UnreadableError(safe(error, 120) or type(error).__name__) from error


def _check_size(width: int, height: int) -> None:
    """Refuse pixel bombs and hairlines before anything is decoded."""
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"{width} x {height} pixels, above the limit of {MAX_PIXELS:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnreadableError(f"{width} x {height} pixels, longer than {MAX_ASPECT:.0f} to 1")


def on_white(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white, 16-bit greys scaled to 8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        white = Image.new("RGBA", layered.size, "white")
        return Image.alpha_composite(white, layered).convert("RGB")
    return image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """A 16-bit or float grey image scaled to 8 bits by the range its kind uses."""
    values = np.asarray(image, dtype=np.float64)
    top = 65535.0 if values.max(initial=0) > 255 else 255.0
    if values.max(initial=0) <= 1.0 and image.mode == "F":
        top = 1.0
    scaled = np.nan_to_num(values / top * 255).clip(0, 255).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def ground_colour(pixels: Pixels) -> npt.NDArray[np.int16]:
    """The colour of an image's ground: the median of its border, (3,)."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0).astype(np.int16)


def has_even_border(pixels: Pixels, ground: npt.NDArray[np.int16]) -> bool:
    """Whether nearly all of the border is the ground's colour."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]).astype(np.int16)
    return bool((np.abs(border - ground).max(1) <= _INK).mean() >= 0.95)


def ink_box(pixels: Pixels) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what differs from the ground, with a small margin.

    The whole image when its border is not of one colour (a full-bleed picture) or nothing differs.

    Args:
        pixels: uint8 (h, w, 3).
    """
    height, width = pixels.shape[:2]
    ground = ground_colour(pixels)
    whole = (0, 0, width, height)
    if not has_even_border(pixels, ground):
        return whole
    ink = np.abs(pixels.astype(np.int16) - ground).max(2) > _INK
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if len(rows) == 0:
        return whole
    longer = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = math.ceil(_MARGIN * longer)
    return (
        max(0, int(columns[0]) - margin), max(0, int(rows[0]) - margin),
        min(width, int(columns[-1]) + 1 + margin), min(height, int(rows[-1]) + 1 + margin),
    )  # fmt: skip


def fit(image: Image.Image, size: int) -> Pixels:
    """Ink crop, then the largest undistorted fit into a square of `size` pixels.

    The square is filled with the image's own ground where its border is of one colour, so that a
    logo on a coloured ground keeps it, and with white otherwise.

    Args:
        image: RGB.
        size: side of the square.

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


def picture_square(file: Path | BinaryIO, size: int) -> Pixels:
    """An image file as the uint8 square (size, size, 3) that is packed, searched and compared.

    Raises:
        UnreadableError: the reason in a few words.
    """
    return fit(read_picture(file), size)
