"""Pictures in which a mark stands among other things: a label, a shop front, a page, a sheet, a stamp."""

from collections.abc import Callable
from typing import NamedTuple

from PIL import Image, ImageDraw

_INK, _GREY = (30, 30, 40), (200, 205, 210)


class Composite(NamedTuple):
    """A picture, and where the mark is in it."""

    picture: Image.Image
    crop: str
    """the mark, with some of its surroundings, in pixels as `--crop` takes it"""


def label(mark: Image.Image, others: list[Image.Image]) -> Composite:
    """A mark over a line of words and a rule."""
    picture, draw = _paper(220, 160)
    picture.paste(mark, (86, 12))
    draw.text((70, 82), "ACME TRADING", _INK)
    draw.line((20, 100, 200, 100), _INK, 3)
    draw.text((30, 112), "since 1987, by appointment", _INK)
    draw.text((30, 130), "net weight 250 g", _INK)
    return Composite(picture, "80,6,60,60")


def front(mark: Image.Image, others: list[Image.Image]) -> Composite:
    """A mark on a board, between windows."""
    picture, draw = _paper(240, 180)
    draw.rectangle((6, 70, 100, 172), outline=_INK, width=4)
    draw.rectangle((140, 70, 234, 172), outline=_INK, width=4)
    for at in (90, 120, 150):
        draw.line((6, at, 100, at), _GREY, 2)
        draw.line((140, at, 234, at), _GREY, 2)
    picture.paste(mark, (96, 8))
    draw.text((10, 26), "open daily", _INK)
    return Composite(picture, "92,4,56,56")


def page(mark: Image.Image, others: list[Image.Image]) -> Composite:
    """A mark in the corner of a page of text."""
    picture, draw = _paper(200, 260)
    picture.paste(mark, (140, 10))
    for at in range(8):
        draw.text((14, 90 + 18 * at), "lorem ipsum dolor sit amet"[at:], _INK)
    return Composite(picture, "134,4,60,60")


def sheet(mark: Image.Image, others: list[Image.Image]) -> Composite:
    """A mark among others in a grid, as in a register."""
    picture, _ = _paper(240, 180)
    for at, other in enumerate(others[:5]):
        picture.paste(other, (14 + 76 * (at % 3), 14 + 84 * (at // 3)))
    picture.paste(mark, (166, 98))
    return Composite(picture, "160,92,60,60")


def card(mark: Image.Image, others: list[Image.Image]) -> Composite:
    """A mark in a frame with lines of words and another mark below."""
    picture, draw = _paper(260, 170)
    draw.rectangle((2, 2, 257, 167), outline=_INK, width=3)
    picture.paste(mark, (20, 50))
    draw.text((100, 40), "Jane Doe", _INK)
    draw.text((100, 60), "director of sales", _INK)
    draw.text((100, 80), "+49 30 1234567", _INK)
    picture.paste(others[0].resize((30, 30)), (215, 125))
    return Composite(picture, "14,44,60,60")


COMPOSITES: tuple[Callable[[Image.Image, list[Image.Image]], Composite], ...] = (
    label,
    front,
    page,
    sheet,
    card,
)


def _paper(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    picture = Image.new("RGB", (width, height), "white")
    return picture, ImageDraw.Draw(picture)
