"""Pictures as lines for standard output, in as many colours as the terminal has."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tui.pictures.glyphs import glyphs
from tui.pictures.runs import runs

if TYPE_CHECKING:
    from tmssl.types import Pixels

_RESET = "\x1b[0m"


def ansi_lines(
    pictures: "Iterable[Pixels]", columns: int, rows: int, way: str, colours: str
) -> list[list[str]]:
    """Pictures as lines of `columns` cells each, every line ending in the default colours.

    Args:
        pictures: each uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
        way: `half`, `quadrant`, `sextant` or `octant`.
        colours: what the terminal has: `true`, `256`, `16` or `none`, as `tmssl.doctor.terminal.colours` says.
    """
    from tui.pictures.mosaic import mosaics, stencils

    if colours == "none":
        characters = glyphs(way).characters
        return [
            ["".join(characters[pattern] for pattern in row) for row in stencil.tolist()]
            for stencil in stencils(pictures, columns, rows, way)
        ]
    drawn = []
    for mosaic in mosaics(pictures, columns, rows, way):
        lines = []
        for row in runs(mosaic, way):
            pen: tuple[str, str] = ("", "")
            line = ""
            for text, ink, paper in row:
                wanted = (
                    _sgr(ink, colours, ink=True) if ink is not None else pen[0],
                    _sgr(paper, colours, ink=False),
                )
                changed = ";".join(new for old, new in zip(pen, wanted, strict=True) if new != old)
                line += (f"\x1b[{changed}m" if changed else "") + text
                pen = wanted
            lines.append(line + _RESET)
        drawn.append(lines)
    return drawn


@functools.lru_cache(8192)
def _sgr(colour: int, colours: str, *, ink: bool) -> str:
    """The parameters that select the nearest to 0xRRGGBB of the colours that a terminal has."""
    from rich.color import Color, ColorSystem

    systems = {
        "true": ColorSystem.TRUECOLOR,
        "256": ColorSystem.EIGHT_BIT,
        "16": ColorSystem.STANDARD,
    }
    wanted = Color.from_rgb(colour >> 16, colour >> 8 & 255, colour & 255)
    return ";".join(wanted.downgrade(systems[colours]).get_ansi_codes(foreground=ink))
