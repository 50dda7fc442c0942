"""Pictures side by side in a terminal, each with lines of words under it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

CELL = 16  # columns that a picture takes
_GAP = "  "
_RESET = "\x1b[0m"


def fitting(width: int) -> int:
    """How many pictures stand side by side on a terminal of this width: 2 to 8."""
    return max(2, min(8, (width + len(_GAP)) // (CELL + len(_GAP))))


def side_by_side(
    pictures: "Sequence[npt.NDArray[np.uint8]]", captions: Sequence[Sequence[str]]
) -> list[str]:
    """Pictures as half blocks in true colour, with their captions.

    Args:
        pictures: each uint8 (h, w, 3).
        captions: for each the lines under it, as many for all; harmless to a terminal already.
    """
    from rich.cells import set_cell_size

    from tui.matches.thumbnail import thumbnail

    blocks = [thumbnail(pixels, CELL, CELL // 2) for pixels in pictures]
    lines = [f"{_RESET}{_GAP}".join(row) + _RESET for row in zip(*blocks, strict=True)]
    return lines + [
        _GAP.join(set_cell_size(text, CELL) for text in row).rstrip()
        for row in zip(*captions, strict=True)
    ]
