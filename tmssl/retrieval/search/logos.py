"""The images that are searched for: where they are, and how one becomes the pixels of a query."""

import dataclasses
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tmssl.data.preprocess import UnreadableError, load_square
from tmssl.data.sources.folder import SUFFIXES
from tmssl.errors import InputError
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
        if source == STDIN or not Path(source).is_dir():
            logos.append(LogoPath(source, in_folder=False))
            continue
        images = sorted(
            str(path)
            for path in Path(source).rglob("*")
            if path.suffix.lower() in SUFFIXES
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
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {safe(path)}: {error.strerror}; give an image") from error
    return decode_logo(str(path), content, size)


def decode_logo(name: str, content: bytes, size: int) -> Logo:
    """The bytes of an image file, preprocessed as the pack's marks are.

    Raises:
        InputError: they are not an image.
    """
    try:
        pixels = load_square(io.BytesIO(content), size)
    except UnreadableError as error:
        shown = "standard input" if name == STDIN else safe(name)
        raise InputError(f"{shown} cannot be searched for: {error}; give another image") from error
    return Logo(name, hashlib.sha256(content).hexdigest(), pixels)
