"""The images that are searched for: where they are, and how one becomes the pixels of a query."""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tmssl.data.formats import is_image
from tmssl.data.picture import UnreadableError, load_image_and_shape
from tmssl.data.preprocess import fit_square
from tmssl.errors import InputError
from tmssl.files import is_folder
from tmssl.retrieval.search.crop import Crop, cut
from tmssl.retrieval.vectors.regions import DETAIL
from tmssl.text import safe
from tmssl.types import Pixels

STDIN = "-"


@dataclasses.dataclass(frozen=True)
class Logo:
    """An image to search for."""

    name: str
    """its path, or `-` for one that is no file"""
    sha256: str
    """of the file; empty where there is none"""
    pixels: Pixels
    """uint8 (s, s, 3), as the pack holds its marks"""
    crop: str = ""
    """the rectangle of the image that is searched for, as given; empty for the whole"""
    detail: Pixels | None = None
    """the same square in more pixels, from which regions are cut; None where there is none"""


class LogoPath(NamedTuple):
    """Where a logo is read from."""

    name: str
    """a path, or `-` for standard input"""
    in_folder: bool
    """found in a folder rather than named"""


def find_logos(sources: Sequence[str]) -> list[LogoPath]:
    """The logos that some paths name; a folder stands for all images below it.

    Raises:
        InputError: a folder has no images, or standard input is named twice.
    """
    if list(sources).count(STDIN) > 1:
        raise InputError("standard input is one image; give - once")
    logos: list[LogoPath] = []
    for source in sources:
        if source == STDIN or not is_folder(source):
            logos.append(LogoPath(source, in_folder=False))
            continue
        images = sorted(
            str(path)
            for path in Path(source).rglob("*")
            if is_image(path.name)
            and path.is_file()
            and not any(part.startswith(".") for part in path.relative_to(source).parts)
        )
        if not images:
            raise InputError(f"no images in {safe(source)}; give images or a folder of them")
        logos += [LogoPath(path, in_folder=True) for path in images]
    return logos


def read_logo(path: str | Path, size: int) -> Logo:
    """An image file, preprocessed as the pack's marks are.

    Args:
        path: of the file.
        size: side of the pack's images in pixels.

    Raises:
        InputError: the file cannot be read, or is not an image.
    """
    return read_crops(path, size, [None])[0]


def read_crops(path: str | Path, size: int, crops: Sequence[Crop | None]) -> list[Logo]:
    """Rectangles of an image file, each a logo of its own, None for the whole; else as `read_logo`.

    Raises:
        InputError: as there, or a rectangle leaves the image.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; give an image") from error
    return decode_crops(str(path), content, size, crops)


def decode_crops(
    name: str, content: bytes, size: int, crops: Sequence[Crop | None] = (None,)
) -> list[Logo]:
    """The bytes of an image file as `read_crops` gives a file.

    Raises:
        InputError: they are not an image, or a rectangle leaves it.
    """
    shown = "standard input" if name == STDIN else safe(name)
    try:
        image, shape = load_image_and_shape(io.BytesIO(content))
    except UnreadableError as error:
        raise InputError(f"{shown} cannot be searched for: {error}; give another image") from error
    sha256, logos = hashlib.sha256(content).hexdigest(), []
    for crop in crops:
        try:
            part = cut(image, crop, shape.width, shape.height) if crop else image
        except InputError as error:
            raise InputError(f"{shown}: {error}") from error
        square, detail = fit_square(part, size), fit_square(part, DETAIL * size)
        logos.append(Logo(name, sha256, square, crop.text if crop else "", detail))
    return logos
