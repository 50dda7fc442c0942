"""Small pictures as half-block characters (by term-image) or ASCII; the terminal gets no query."""

import functools
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image as Picture
    from rich.text import Text

_RAMP = "@%#*+=-:. "  # from dark to light


def thumbnail(pixels: "npt.NDArray[np.uint8]", columns: int, rows: int) -> list[str]:
    """A picture as `rows` lines of half blocks in ANSI true colour, each `columns` cells wide.

    The picture is fitted without distortion (a cell is twice as high as wide) and padded with white.

    Args:
        pixels: uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
    """
    images = term_images()
    block = images.BlockImage(_fit(pixels, columns, 2 * rows))
    block.set_size(images.Size.ORIGINAL)
    return str(block).split("\n")


def ascii_lines(pixels: "npt.NDArray[np.uint8]", columns: int, rows: int) -> list[str]:
    """A picture as `rows` lines of ASCII, with denser letters for darker parts."""
    grey = _fit(pixels, columns, 2 * rows).convert("L").resize((columns, rows))
    letters = "".join(_RAMP[value * len(_RAMP) // 256] for value in grey.tobytes())
    return [letters[begin : begin + columns] for begin in range(0, len(letters), columns)]


def picture_lines(
    pixels: "npt.NDArray[np.uint8]", columns: int, rows: int, ascii: bool
) -> "list[Text]":
    """A picture as lines for a widget, in ASCII or in half blocks."""
    from rich.text import Text

    if ascii:
        return [Text(line) for line in ascii_lines(pixels, columns, rows)]
    return [Text.from_ansi(line) for line in thumbnail(pixels, columns, rows)]


def _fit(pixels: "npt.NDArray[np.uint8]", width: int, height: int) -> "Picture":
    """A picture of exactly `width` x `height` pixels, undistorted on white."""
    from PIL import Image

    picture = Image.fromarray(pixels)
    scale = min(width / picture.width, height / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    fitted = picture.resize(size, Image.Resampling.LANCZOS)
    canvas = Image.new("RGB", (width, height), "white")
    canvas.paste(fitted, ((width - fitted.width) // 2, (height - fitted.height) // 2))
    return canvas


@functools.cache
def term_images() -> Any:
    """The module `term_image.image` without queries to the terminal: a late answer would arrive as keys."""
    with warnings.catch_warnings():
        # It warns when there is no terminal, which does not matter for half blocks.
        warnings.simplefilter("ignore")
        import term_image

        term_image.disable_queries()
        import term_image.image
    return term_image.image
