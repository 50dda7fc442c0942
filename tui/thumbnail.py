"""A small picture as half-block characters, by term-image; it asks the terminal nothing."""

import functools
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def thumbnail(pixels: "npt.NDArray[np.uint8]", columns: int, rows: int) -> list[str]:
    """A picture as `rows` lines of ANSI true colour, each `columns` cells wide.

    The picture is fitted without distortion (a cell is twice as high as wide) and padded with white.

    Args:
        pixels: uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
    """
    from PIL import Image

    block_image, original = _block_image()
    picture = Image.fromarray(pixels)
    scale = min(columns / picture.width, 2 * rows / picture.height)
    fitted = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
        Image.Resampling.LANCZOS,
    )
    canvas = Image.new("RGB", (columns, 2 * rows), "white")
    canvas.paste(fitted, ((columns - fitted.width) // 2, (2 * rows - fitted.height) // 2))
    block = block_image(canvas)
    block.set_size(original)
    return str(block).split("\n")


@functools.cache
def _block_image() -> tuple[Any, Any]:
    """term-image's BlockImage and the size that keeps an image's own."""
    with warnings.catch_warnings():
        # It warns when there is no terminal, which does not matter to blocks of characters.
        warnings.simplefilter("ignore")
        import term_image

        term_image.disable_queries()  # a late answer to a query would arrive as key presses
        from term_image.image import BlockImage, Size
    return BlockImage, Size.ORIGINAL
