"""What the monitor shows as a picture, with blocks, sextants and octants as a good terminal draws them.

Textual's own SVG needs a font that has those characters; here they are drawn as rectangles.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.app import App

from tui.pictures.glyphs import glyphs

_WIDTH, _HEIGHT = 10, 19  # pixels of a cell: the advance and the line height of the font
_MARGIN = 12
_SIZE = 16  # of the font
_BASE = 15  # of the letters below the top of a cell
_BRAILLE = 0x2800
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))  # column, row of each bit


def picture_of(app: App[Any]) -> Image.Image:
    """The screen of an app that runs headless, as RGB."""
    columns, rows = app.size
    ground = app.current_theme.background or "#101010"
    picture = Image.new(
        "RGB", (columns * _WIDTH + 2 * _MARGIN, rows * _HEIGHT + 2 * _MARGIN), ground
    )
    draw = ImageDraw.Draw(picture)
    # Textual has no public way to the drawn lines but its SVG.
    for row, line in enumerate(app.screen._compositor.render_strips(app.size)):
        for column, text, style in _cells(line):
            place = _MARGIN + column * _WIDTH, _MARGIN + row * _HEIGHT
            _draw_cell(draw, place, text, style, ground)
    return picture


def _cells(line: "Iterator[Segment] | Any") -> Iterator[tuple[int, str, Style]]:
    """Column, character and style of each cell of a line."""
    column = 0
    for segment in line:
        for character in segment.text:
            yield column, character, segment.style or Style.null()
            column += cell_len(character)


def _draw_cell(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], text: str, style: Style, ground: str
) -> None:
    """Draw the paper, then the parts or the letter in the ink."""
    ink, paper = _colour(style.color, "#e0e0e0"), _colour(style.bgcolor, ground)
    if style.reverse:
        ink, paper = paper, ink
    if style.dim:
        ink = _mixed(ink, paper)
    x, y = place
    width = _WIDTH * max(1, cell_len(text))
    draw.rectangle((x, y, x + width - 1, y + _HEIGHT - 1), paper)
    parts = _parts().get(text)
    if parts is not None:
        for left, top, right, bottom in parts:
            draw.rectangle((x + left, y + top, x + right - 1, y + bottom - 1), ink)
    elif not text.isspace():
        draw.text((x, y + _BASE), text, ink, _font(bool(style.bold)), anchor="ls")
    if style.underline:
        draw.line((x, y + _HEIGHT - 2, x + width - 1, y + _HEIGHT - 2), ink)


def _colour(colour: Color | None, default: str) -> tuple[int, int, int]:
    """A colour as RGB."""
    if colour is None or colour.is_default:
        colour = Color.parse(default)
    red, green, blue = colour.get_truecolor()
    return red, green, blue


def _mixed(one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
    """Halfway between two colours."""
    red, green, blue = ((a + b) // 2 for a, b in zip(one, other, strict=True))
    return red, green, blue


@functools.cache
def _parts() -> dict[str, list[tuple[int, int, int, int]]]:
    """The rectangles of each character that is a cut cell: left, top, right, bottom in pixels."""
    found: dict[str, list[tuple[int, int, int, int]]] = {}
    for way in ("octant", "sextant", "quadrant", "half"):
        cut = glyphs(way)
        edges = [round(i * _HEIGHT / cut.down) for i in range(cut.down + 1)]
        width = _WIDTH // cut.across
        for pattern, character in enumerate(cut.characters):
            found[character] = [
                (
                    i % cut.across * width,
                    edges[i // cut.across],
                    (i % cut.across + 1) * width,
                    edges[i // cut.across + 1],
                )
                for i in range(cut.parts)
                if pattern >> i & 1
            ]
    for pattern in range(256):
        dots = [_DOTS[bit] for bit in range(8) if pattern >> bit & 1]
        found[chr(_BRAILLE + pattern)] = [
            (2 + 5 * column, 2 + 4 * row + row // 2, 4 + 5 * column, 4 + 4 * row + row // 2)
            for column, row in dots
        ]
    return found


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
    """The monospace font that comes with matplotlib."""
    name = "DejaVuSansMono-Bold.ttf" if bold else "DejaVuSansMono.ttf"
    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts" / "ttf" / name, _SIZE)
