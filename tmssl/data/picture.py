"""Reading a picture as it was filed: RGB, upright, and the square of it that is packed and compared.

Packs, queries and indexes all use `picture_square`, so that images are comparable.
"""

import errno
import importlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tmssl.data.flatten import to_rgb
from tmssl.data.formats import FORMATS, HEAD_BYTES, PILLOW_FORMATS, load_avif, missing, sniff
from tmssl.data.mending import finished_jpegs, png_without_metadata
from tmssl.data.preprocess import fit_square
from tmssl.data.svg import draw_svg
from tmssl.errors import PackError
from tmssl.text import safe
from tmssl.types import Pixels

MAX_PIXELS = 64_000_000  # A4 at 600 dpi is 35 million, A3 is 70; 64 million take 1.4 GiB to decode
MAX_ASPECT = 50.0  # a longer strip would be a hairline in a square
LARGE = 2048  # pixels of the longer side; an image of twice that or more is reduced while loading

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
    unfinished: bool = False
    """a JPEG that lacks its end marker, and nothing of the image"""


def load_image(file: Path | BinaryIO) -> Image.Image:
    """The first frame of an image file as RGB, upright by its EXIF orientation.

    FORMATS are recognized by content, not by name; AVIF, HEIF and SVG need the extra `formats`. An
    image whose longer side is 4096 pixels or more is reduced by an integer factor, to no less than
    2048. A JPEG that lacks only its end marker is read, and so is an image with odd metadata.

    Raises:
        UnreadableError: the reason in a few words.
    """
    return load_image_and_shape(file)[0]


def load_image_and_shape(file: Path | BinaryIO) -> tuple[Image.Image, FileShape]:
    """`load_image`, and the shape of the file as stored.

    Raises:
        UnreadableError: the reason in a few words.
    """
    with warnings.catch_warnings():
        # Pillow warns of odd metadata and large images; our own limits follow.
        warnings.simplefilter("ignore")
        try:
            return _decode(Image.open(file, formats=PILLOW_FORMATS))
        except UnreadableError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise cannot_read(error) from error
            refusal: BaseException = error
        except _DAMAGE as error:
            refusal = error
        try:
            return _decode_otherwise(_all_bytes(file), refusal)
        except UnreadableError:
            raise
        except OSError as error:
            raise cannot_read(error) from error
        except _DAMAGE as error:
            raise UnreadableError(_reason(error)) from error


def _decode(opened: Image.Image) -> tuple[Image.Image, FileShape]:
    """An opened image as RGB, and its shape."""
    with opened as image:
        _check_size(*image.size)
        orientation = _orientation(image)
        width, height = image.size[::-1] if orientation in (5, 6, 7, 8) else image.size
        # Pillow has another name for a JPEG that holds several pictures.
        shape = FileShape(width, height, image.format if image.format in FORMATS else "JPEG")
        if image.format == "JPEG":
            image.draft("RGB", (LARGE, LARGE))  # decode a huge scan at a lower scale
        image.load()
        if _orientation(image) != 1:  # a PNG may tell it after its pixels
            ImageOps.exif_transpose(image, in_place=True)
        upright = to_rgb(image)
        factor = max(upright.size) // LARGE
        return upright.reduce(factor) if factor > 1 else upright, shape


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation of an opened image, 1 for upright or damaged metadata."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        return 1


def _decode_otherwise(data: bytes, refusal: BaseException) -> tuple[Image.Image, FileShape]:
    """An image that Pillow refused, if it is of another format or its defect does no harm.

    Raises:
        UnreadableError: the reason why Pillow refused it, or why another reader did.
        Exception: of _DAMAGE, as Pillow raises for a damaged file.
    """
    name = sniff(data[:HEAD_BYTES]) or ("SVG" if data.startswith(b"\x1f\x8b") else "")
    if name in ("AVIF", "HEIF", "SVG"):
        return _decode_other_format(data, name)
    if plain := png_without_metadata(data):
        return _decode(Image.open(io.BytesIO(plain), formats=("PNG",)))
    if "truncated" in str(refusal) and (finished := finished_jpegs(data)):
        pictures = [_decode(Image.open(io.BytesIO(one), formats=("JPEG",))) for one in finished]
        first = pictures[0][0].tobytes()
        if all(picture.tobytes() == first for picture, _ in pictures):
            return pictures[0][0], pictures[0][1]._replace(unfinished=True)
    if isinstance(refusal, UnidentifiedImageError):
        raise UnreadableError("not an image of a known format, or empty") from None
    raise UnreadableError(_reason(refusal)) from refusal


def _decode_other_format(data: bytes, name: str) -> tuple[Image.Image, FileShape]:
    """An AVIF, HEIF or SVG."""
    if hint := missing(name):
        raise UnreadableError(hint)
    if name == "SVG":
        image, shape = _decode(draw_svg(data))
        return image, shape._replace(format=name)
    if name == "AVIF":
        load_avif()
        return _decode(Image.open(io.BytesIO(data), formats=("AVIF",)))
    heif = importlib.import_module("pillow_heif").open_heif(io.BytesIO(data))
    _check_size(*heif.size)
    image, shape = _decode(heif.to_pillow())  # it is upright, whatever its EXIF says
    return image, shape._replace(format=name)


def _all_bytes(file: Path | BinaryIO) -> bytes:
    """All bytes of a file that was read in part."""
    if isinstance(file, Path):
        return file.read_bytes()
    file.seek(0)
    return file.read()


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


def picture_square(file: Path | BinaryIO | Image.Image, size: int) -> Pixels:
    """An image file or a PIL image as it is packed and compared, uint8 (size, size, 3).

    Raises:
        UnreadableError: the reason in a few words.
    """
    if isinstance(file, Image.Image):
        upright = ImageOps.exif_transpose(file)  # not None unless in place
        return fit_square(to_rgb(upright or file), size)
    return fit_square(load_image(file), size)
