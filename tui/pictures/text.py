"""Pictures as lines of Rich text, which any widget can show, crop and scroll."""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style
from rich.text import Span, Text

from tui.pictures.letters import letter_lines
from tui.pictures.pixels import PixelPictures, fits
from tui.pictures.runs import runs
from tui.pictures.ways import INSTEAD_OF_PIXELS, PIXELS

if TYPE_CHECKING:
    from tmssl.types import Pixels


def text_lines(
    pictures: "Iterable[Pixels]",
    columns: int,
    rows: int,
    way: str,
    pixels: PixelPictures | None = None,
) -> list[list[Text]]:
    """Pictures as `rows` lines of `columns` cells each.

    Args:
        pictures: each uint8 (h, w, 3).
        columns: width in cells.
        rows: height in cells.
        way: one of `tui.pictures.ways.DRAWN`.
        pixels: where the app keeps what it shows in pixels; without it, and for pictures that are too large to
            be placed, cells are drawn instead.
    """
    if way == PIXELS:
        if pixels is not None and fits(columns, rows):
            return [list(map(Text, lines)) for lines in pixels.lines(pictures, columns, rows)]
        way = INSTEAD_OF_PIXELS
    if way == "off":
        return [[Text(" " * columns) for _ in range(rows)] for _ in pictures]
    if way == "letters":
        return [list(map(Text, letter_lines(one, columns, rows))) for one in pictures]
    from tui.pictures.mosaic import mosaics

    drawn = []
    for mosaic in mosaics(pictures, columns, rows, way):
        lines = []
        for row in runs(mosaic, way):
            spans, at = [], 0
            for text, ink, paper in row:
                spans.append(Span(at, at + len(text), _style(ink, paper)))
                at += len(text)
            lines.append(Text("".join(text for text, _, _ in row), spans=spans))
        drawn.append(lines)
    return drawn


@functools.lru_cache(16384)
def _style(ink: int | None, paper: int) -> Style:
    """The style of two colours 0xRRGGBB."""
    return Style(color=None if ink is None else _colour(ink), bgcolor=_colour(paper))


@functools.lru_cache(8192)
def _colour(colour: int) -> Color:
    """A colour 0xRRGGBB."""
    return Color.from_rgb(colour >> 16, colour >> 8 & 255, colour & 255)
