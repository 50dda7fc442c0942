"""Pictures on standard output: how this terminal gets them, and side by side with lines of words under each."""

import dataclasses
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.streams import draws_unicode

if TYPE_CHECKING:
    from tmssl.types import Pixels

CELL = 16  # columns that a picture takes
_GAP = "  "


@dataclasses.dataclass(frozen=True)
class PictureStyle:
    """How pictures are drawn on standard output."""

    way: str
    """one of `tui.pictures.ways.DRAWN`, but neither `off` nor pixels, which are for the monitor"""
    colours: str
    """`true`, `256`, `16` or `none`"""


def picture_style(asked: str) -> PictureStyle | None:
    """How standard output gets pictures; None where it gets none: no terminal, or they are off.

    Args:
        asked: what `--pictures` says; `auto` takes what was chosen in the monitor for this kind of
            terminal, or else what the environment says.

    Raises:
        InputError: `asked` is no way to draw.
    """
    from tmssl.doctor.terminal import colours
    from tui.pictures.ways import check_way, choose_way
    from tui.preferences import preferences_path, read_preferences

    check_way(asked)
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        return None
    remembered = read_preferences(preferences_path())[0].pictures
    way = choose_way(asked, remembered, ascii=not draws_unicode(sys.stdout), pixels=False)
    return None if way == "off" else PictureStyle(way, colours(os.environ))


def fitting(width: int) -> int:
    """How many pictures stand side by side on a terminal of this width: 2 to 8."""
    return max(2, min(8, (width + len(_GAP)) // (CELL + len(_GAP))))


def side_by_side(
    pictures: "Sequence[Pixels]", captions: Sequence[Sequence[str]], style: PictureStyle
) -> list[str]:
    """Pictures with their captions.

    Args:
        pictures: each uint8 (h, w, 3).
        captions: for each the lines under it, as many for all; harmless to a terminal already.
        style: how the terminal gets them.
    """
    from rich.cells import set_cell_size

    lines = [_GAP.join(row) for row in zip(*_drawn(pictures, style), strict=True)]
    return lines + [
        _GAP.join(set_cell_size(text, CELL) for text in row).rstrip()
        for row in zip(*captions, strict=True)
    ]


def _drawn(pictures: "Sequence[Pixels]", style: PictureStyle) -> list[list[str]]:
    """The lines of each picture, CELL cells wide and half as many high."""
    if style.way == "letters":
        from tui.pictures.letters import letter_lines

        return [letter_lines(one, CELL, CELL // 2) for one in pictures]
    from tui.pictures.ansi import ansi_lines

    return ansi_lines(pictures, CELL, CELL // 2, style.way, style.colours)
