"""The pixels of a logo: as it was filed, to lay rectangles on, and as it was compared."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from tmssl.errors import InputError
from tmssl.retrieval.search.results import SearchResult

if TYPE_CHECKING:
    from tmssl.types import Pixels

_LARGEST = 256 << 20  # bytes of an image that a record names
_SIDE = 1024  # pixels of the longer side of a picture that is shown


def filed_logo(path: str) -> tuple[str, "Pixels"]:
    """The path of a logo, or of the first of a folder, and its picture, uint8 (h, w, 3), reduced to be shown.

    Raises:
        InputError: it is no image, or the folder has none.
    """
    import numpy as np

    from tmssl.data.picture import load_image
    from tmssl.retrieval.search.logos import find_logos

    name = find_logos([path])[0].name
    image = load_image(Path(name))
    image.thumbnail((_SIDE, _SIDE))
    return name, np.asarray(image)


def compared_logo(answer: SearchResult, size: int) -> "Pixels | None":
    """The pixels that were compared, uint8 (size, size, 3); None for a text, and where the file is gone or another one."""
    return _compared(answer.file, answer.crop, answer.sha256, size)


@functools.lru_cache(maxsize=8)
def _compared(file: str, crop: str, sha256: str, size: int) -> "Pixels | None":
    from tmssl.retrieval.search.crop import parse_crop
    from tmssl.retrieval.search.logos import read_crops

    try:
        # A record may come from elsewhere, and name a device or what fills the memory.
        if Path(file).is_file() and Path(file).stat().st_size <= _LARGEST:
            (logo,) = read_crops(file, size, [parse_crop(crop) if crop else None])
            if logo.sha256 == sha256:
                return logo.pixels
    except (InputError, OSError):  # what is not there any more is no reason to show nothing
        pass
    return None
