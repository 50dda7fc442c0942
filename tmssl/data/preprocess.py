"""One image file becomes RGB on white, cropped to its ink and fitted into a square.

Pack, query and index go through `load_square`, so what is compared was treated alike.
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
MAX_PIXELS = 64_000_000  # an A3 page at 600 dpi is 70, an A4 page 35; 64 take 1.4 GiB to decode
MAX_ASPECT = 50.0  # a longer strip would be a hairline in any square
LARGE = 2048  # pixels of the longer side; more than twice that is read at a fraction of its size

INK = 24  # grey levels away from the ground from which a pixel counts as ink
MARGIN = 0.04  # of the ink's longer side, left around it

# What Pillow's decoders raise for damaged files, found by feeding them a million of those.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# What a disk or a system says of files that may be whole.
_PASSING = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
}


class UnreadableError(PackError):
    """An image that goes to the quarantine; the message is the reason."""


class UnreachableError(UnreadableError):
    """An image whose bytes cannot be had just now: gone, forbidden, or behind a disk that is away."""


def cannot_read(error: OSError) -> UnreadableError:
    """Why a file cannot be read, told apart by whether that may pass."""
    kind = UnreachableError if error.errno in _PASSING else UnreadableError
    return kind(_reason(error))


class Shape(NamedTuple):
    """An image file as it is stored, but upright."""

    width: int
    height: int
    format: str
    """one of FORMATS"""


def load_image(file: Path | BinaryIO) -> Image.Image:
    """The first frame of an image file as RGB on white, upright by its EXIF orientation.

    JPEG, PNG, GIF, WEBP, BMP and TIFF are told by their content, whatever the name says. An image
    whose longer side is at least 4096 comes back smaller by a whole factor, 2048 or more.

    Raises:
        UnreadableError: the reason in a few words.
    """
    return load_image_and_shape(file)[0]


def load_image_and_shape(file: Path | BinaryIO) -> tuple[Image.Image, Shape]:
    """The same, and the shape of the file as it is stored.

    Raises:
        UnreadableError: the reason in a few words.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and large images; the limits below are what counts.
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


def _shape(image: Image.Image) -> Shape:
    """The shape of an image that was opened and not yet decoded."""
    lying = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    width, height = image.size[::-1] if lying else image.size
    # Pillow calls a JPEG that holds several pictures by another name.
    return Shape(width, height, image.format if image.format in FORMATS else "JPEG")


def _reason(error: BaseException) -> str:
    """An error in a few words, without the path that its reader knows."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else error
    return safe(words, 120) or type(error).__name__


def _check_size(width: int, height: int) -> None:
    """Refuse pixel bombs and hairlines before anything is decoded."""
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"{width} x {height} pixels, above the limit of {MAX_PIXELS:,}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UnreadableError(f"{width} x {height} pixels, longer than {MAX_ASPECT:.0f} to 1")


def to_rgb(image: Image.Image) -> Image.Image:
    """Any mode as RGB: transparency over white, 16-bit greys scaled to 8.

    A white drawing on a transparent ground (3 % of a set of real logos) would vanish on white, so
    what leaves no ink there goes on black.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_deep_grey(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layered = image.convert("RGBA")
        shown = _over(layered, "white")
        if np.asarray(shown, dtype=np.uint8).min() < 255 - INK:
            return shown
        dark = _over(layered, "black")
        return dark if np.asarray(dark, dtype=np.uint8).max() > INK else shown
    return image.convert("RGB")


def _over(layered: Image.Image, colour: str) -> Image.Image:
    """An RGBA image over one colour."""
    ground = Image.new("RGB", layered.size, colour)
    ground.paste(layered, mask=layered.getchannel("A"))
    return ground


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """A 16-bit, 32-bit or float grey image scaled to 8 bits by the range its kind uses."""
    values = np.nan_to_num(np.array(image, dtype=np.float32), copy=False)
    highest = float(values.max(initial=0))
    top = max(65535.0, highest) if highest > 255 else 255.0
    if image.mode.startswith("I;16") or image.format == "PNG":
        top = 65535.0  # a dark image of 16 bits is not a bright one of 8
    elif image.mode == "F" and highest <= 1.0:
        top = 1.0
    values *= 255 / top
    scaled = values.round(out=values).clip(0, 255, out=values).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def ground_colour(pixels: Pixels) -> Pixels:
    """The colour of an image's ground: the median of its border, uint8 (3,)."""
    return np.median(_border(pixels), axis=0).astype(np.uint8)


def _border(pixels: Pixels) -> Pixels:
    """The outermost pixels, (n, 3)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _is_ink(pixels: Pixels, ground: Pixels) -> npt.NDArray[np.bool_]:
    """Where the channels of pixels (..., 3) differ from the ground's, (..., 3).

    The three are kept apart, since a reduction over a last axis of 3 costs more than all the rest.
    """
    low = np.maximum(ground, INK) - INK
    high = np.minimum(ground, 255 - INK) + INK
    return (pixels < low) | (pixels > high)


def has_even_border(pixels: Pixels, ground: Pixels) -> bool:
    """Whether nearly all of the border is the ground's colour."""
    return bool(_is_ink(_border(pixels), ground).any(-1).mean() <= 0.05)


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


def load_square(file: Path | BinaryIO | Image.Image, size: int) -> Pixels:
    """An image file or a PIL image as the uint8 square (size, size, 3) that is packed and compared.

    Raises:
        UnreadableError: the reason in a few words.
    """
    if isinstance(file, Image.Image):
        upright = ImageOps.exif_transpose(file)  # None only where it works in place
        return fit_square(to_rgb(upright or file), size)
    return fit_square(load_image(file), size)
