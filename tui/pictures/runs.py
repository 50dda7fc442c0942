"""Cells of a picture as runs of characters in the same two colours, for widgets and for plain output."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tui.pictures.glyphs import glyphs

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from tui.pictures.mosaic import Mosaic

Run = tuple[str, int | None, int]
"""Characters, and the colours of ink and paper as 0xRRGGBB; without ink where nothing of it shows."""


def runs(mosaic: "Mosaic", way: str) -> Iterator[list[Run]]:
    """The runs of each row of a picture that was cut for this way.

    Ink and paper of a cell change places where that keeps a colour of the cell before: fewer bytes.
    """
    found = glyphs(way)
    last = len(found.characters) - 1
    for patterns, inks, papers in zip(
        mosaic.patterns.tolist(), _packed(mosaic.inks), _packed(mosaic.papers), strict=True
    ):
        row: list[Run] = []
        text, pen_paper = "", -1
        pen_ink: int | None = None
        for pattern, *colours in zip(patterns, inks, papers, strict=True):
            ink: int | None = colours[0]
            paper = colours[1]
            if not pattern:
                character, ink = " ", pen_ink if paper == pen_paper else None
            else:
                if (ink == pen_ink) + (paper == pen_paper) < (paper == pen_ink) + (
                    ink == pen_paper
                ):
                    pattern, ink, paper = last - pattern, paper, ink
                character = found.characters[pattern]
                if pen_ink is None and paper == pen_paper:
                    pen_ink = ink  # blanks before it take any ink
            if (ink, paper) != (pen_ink, pen_paper):
                if text:
                    row.append((text, pen_ink, pen_paper))
                text, pen_ink, pen_paper = "", ink, paper
            text += character
        yield [*row, (text, pen_ink, pen_paper)]


def _packed(colours: "npt.NDArray[np.uint8]") -> list[list[int]]:
    """RGB as 0xRRGGBB, by row and column."""
    wide = colours.astype("int64")
    packed: list[list[int]] = (wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).tolist()
    return packed
