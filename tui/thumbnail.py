"""A small picture as half-block characters, by term-image; it asks the terminal nothing."""

from typing import TYPE_CHECKING

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
    import term_image
    from PIL import Image

    term_image.disable_queries()  # a late answer to a query would arrive as key presses
    from term_image.image import BlockImage, Size

    picture = Image.fromarray(pixels)
    scale = min(columns / picture.width, 2 * rows / picture.height)
    fitted = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale))),
        Image.Resampling.LANCZOS,
    )
    canvas = Image.new("RGB", (columns, 2 * rows), "white")
    canvas.paste(fitted, ((columns - fitted.width) // 2, (2 * rows - fitted.height) // 2))
    block = BlockImage(canvas)
    block.set_size(Size.ORIGINAL)
    return str(block).split("\n")
