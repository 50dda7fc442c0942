"""Preprocessing of an image file: RGB on white, cropped to its ink, fitted into a square.

Packs, queries and indexes all use `load_square`, so that images are comparable.
"""

import errno
import math
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tmssl.errors import PackError
from tmssl.text import safe
from tmssl.types import Pixels

FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF")
MAX_PIXELS = 64_000_000  # A4 at 600 dpi is 35 million, A3 is 70; 64 million take 1.4 GiB to decode
MAX_ASPECT = 50.0  # a longer strip would be a hairline in a square
LARGE = 2048  # pixels of the longer side; an image of twice that or more is reduced while loading

INK = 24  # grey levels between a pixel and the ground from which it counts as ink
MARGIN = 0.04  # kept around the ink, as a share of its longer side

# What Pillow's decoders raise for damaged files, found by fuzzing with a million of them.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError),
    *(AttributeError, MemoryError, RuntimeError, struct.error, zlib.error),
    Image.DecompressionBombError,
)

# System errors after which the same file may well be readable.
_TRANSIENT = {
    getattr(errno, name)
    for name in "ENOENT EACCES EPERM EIO EMFILE ENFILE ENOMEM ESTALE ENODEV ENXIO ENOTCONN "
    "ETIMEDOUT EHOSTDOWN".split()
}


class UnreadableError(PackError):
    """An image that cannot be read and goes to the quarantine; the message is the reason."""


class UnreachableError(UnreadableError):
    """An image whose file cannot be reached for now: gone, forbidden, or on a missing disk."""


def cannot_read(error: OSError) -> UnreadableError:
    """The error for a file that cannot be read: UnreachableError if that may be transient."""
    error_type = UnreachableError if error.errno in _TRANSIENT else UnreadableError
    return error_type(_reason(error))


class FileShape(NamedTuple):
    """Size and format of an image file as stored, but upright."""

    width: int
    height: int
    format: str
    """one of FORMATS"""


def load_image(file: Path | BinaryIO) -> Image.Image:
    """The first frame of an image file as RGB on white, upright by its EXIF orientation.

    JPEG, PNG, GIF, WEBP, BMP and TIFF are recognized by content, not by name. An image whose longer
    side is 4096 pixels or more is reduced by an integer factor, to no less than 2048.

    Raises:
        UnreadableError: the reason in a few words.
    """
    return load_image_and_shape(file)[0]


def load_image_and_shape(file: Path | BinaryIO) -> tuple[Image.Image, FileShape]:
    """`load_image`, and the shape of the file as stored.

    Raises:
        UnreadableError: the reason in a few words.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and large images; our own limits follow.
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                _check_size(*image.size)
                shape = _shape(image)
                if image.format == "JPEG":
                    image.draft("RGB", (LARGE, LARGE))  # decode a huge scan at a lower scale
                image.load()
                ImageOps.exif_transpose(image, in_place=True)
                upright = to_rgb(image)
                factor = max(upright.size) // LARGE
                return upright.reduce(factor) if factor > 1 else upright, shape
    except UnreadableError:
        raise
    except UnidentifiedImageError:
        raise UnreadableError("not an image of a known format, or empty") from None
    except OSError as error:
        raise cannot_read(error) from error
    except _DAMAGE as error:
        raise UnreadableError(_reason(error)) from error


def _shape(image: Image.Image) -> FileShape:
    """The shape of an image that is opened but not decoded."""
    on_its_side = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    width, height = image.size[::-1] if on_its_side else image.size
    # Pillow has another name for a JPEG that holds several pictures.
    return FileShape(width, height, image.format if image.format in FORMATS else "JPEG")


def _reason(error: BaseException) -> str:
    """An error in a few words, without the path, which the caller knows."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else error
    return safe(text, 120) or type(error).__name__


def _check_size(width: int, height: int) -> None:
    """Refuse pixel bombs and hairlines before decoding."""
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"{width} x {height} pixels, above the limit of {MAX_PIXELS:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnreadableError(
            f"{width} x {height} pixels, an aspect ratio above {MAX_ASPECT:.0f} to 1"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB: transparency over white, 16-bit greys scaled to 8 bits.

    A white drawing on a transparent ground (3 % of a set of real logos) would vanish on white, so an
    image that leaves no ink there goes on black.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        on_white = _over(layered, "white")
        if np.asarray(on_white, dtype=np.uint8).min() < 255 - INK:
            return on_white
        on_black = _over(layered, "black")
        return on_black if np.asarray(on_black, dtype=np.uint8).max() > INK else on_white
    return image.convert("RGB")


def _over(layered: Image.Image, colour: str) -> Image.Image:
    """An RGBA image over one colour."""
    ground = Image.new("RGB", layered.size, colour)
    ground.paste(layered, mask=layered.getchannel("A"))
    return ground


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or float grey image scaled to 8 bits by the range of its type."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    highest = float(values.max(initial=0))
    top = max(65535.0, highest) if highest > 255 else 255.0
    if image.mode.startswith("I;16") or image.format == "PNG":
        top = 65535.0  # a dark 16-bit image must not become a bright 8-bit one
    elif image.mode == "F" and highest <= 1.0:
        top = 1.0
    values *= 255 / top
    scaled = values.round(out=values).clip(0, 255, out=values).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


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


def load_square(file: Path | BinaryIO | Image.Image, size: int) -> Pixels:
    """An image file or a PIL image as it is packed and compared, uint8 (size, size, 3).

    Raises:
        UnreadableError: the reason in a few words.
    """
    if isinstance(file, Image.Image):
        upright = ImageOps.exif_transpose(file)  # not None unless in place
        return fit_square(to_rgb(upright or file), size)
    return fit_square(load_image(file), size)
