"""Example queries and their matches as one PNG: hits framed, shared codes named."""

import io
import textwrap
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tmssl.data.pack.reader import Pack
from tmssl.data.vienna import title
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.examples import Examples, framed
from tmssl.retrieval.evaluation.matches import (
    MatchesHeader,
    QueryMatches,
    display_name,
    first_hit,
    verdict,
)
from tmssl.retrieval.search.frames import framed_region
from tmssl.text import safe

_SIDE, _GAP, _LINE, _HEAD = 132, 12, 14, 34  # pixels
_LINES = 5  # under a picture
_MATCHES = 8
_LETTERS = 21  # in a line under a picture


def write_contact_sheet(
    path: Path, name: str, header: MatchesHeader, examples: Examples, pack: Pack
) -> None:
    """Write a PNG with a row for each query of an evaluation of the run `name`.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    heading = f"{name}, epoch {header.epoch:.4g}, {header.gallery:,} marks searched"
    write_atomic(path, contact_sheet(heading, examples, pack, header.attribution))


def contact_sheet(heading: str, examples: Examples, pack: Pack, attribution: str) -> bytes:
    """A PNG with a row for each query: the query first, then its nearest marks.

    Args:
        heading: first line of the sheet.
        examples: queries by part.
        pack: holds their pixels.
        attribution: licence line of the images.
    """
    parts = list(dict.fromkeys(part for part, _ in examples))
    row_height = _SIDE + _LINES * _LINE + _GAP
    height = _HEAD * (2 + len(parts)) + row_height * len(examples)
    sheet = Image.new("RGB", (_GAP + (_SIDE + _GAP) * (1 + _MATCHES), height), "white")
    draw, top = ImageDraw.Draw(sheet), _HEAD
    large, small = _font(15), _font(11)
    draw.text((_GAP, 8), safe(heading, 140), "black", font=large)
    for part in parts:
        draw.text((_GAP, top + 8), part, "black", font=large)
        top += _HEAD
        for of_part, query in examples:
            if of_part == part:
                _draw_row(sheet, draw, query, pack, top, small)
                top += row_height
    draw.text((_GAP, top + 8), safe(attribution, 200), "black", font=small)
    file = io.BytesIO()
    sheet.save(file, "PNG", optimize=True)
    return file.getvalue()


def _font(size: int) -> Any:
    """DejaVu Sans, which matplotlib brings, at a size in pixels."""
    matplotlib = find_spec("matplotlib")  # its import would want a folder for settings
    assert matplotlib is not None
    assert matplotlib.origin is not None
    fonts = Path(matplotlib.origin).parent / "mpl-data/fonts/ttf"
    return ImageFont.truetype(fonts / "DejaVuSans.ttf", size)


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    query: QueryMatches,
    pack: Pack,
    top: int,
    font: Any,
) -> None:
    """Draw a query and its matches at a height of the sheet."""
    matches = query.matches[:_MATCHES]
    pictures = pack.read([query.row, *(match.row for match in matches)])
    # Of each picture: its verdict, the line under it, the name and the codes.
    captions = [("miss", f"query, {first_hit(query)}", display_name(query), query.vienna)]
    for match in matches:
        said = verdict(match, query)
        line = f"{match.rank}. {match.similarity:.3f} {said}"
        captions.append((said, line, display_name(match), match.shared))
    regions = [None, *(match.region for match in matches)]
    for place, (pixels, region, (said, head, name, codes)) in enumerate(
        zip(pictures, regions, captions, strict=True)
    ):
        left = _GAP + place * (_SIDE + _GAP)
        picture = Image.fromarray(framed(framed_region(pixels, region), said))
        sheet.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (left, top))
        titles = "; ".join(f"{code} {title(code)}".strip() for code in codes)
        code_lines = textwrap.wrap(titles, _LETTERS)
        if place and not code_lines and query.labelled:
            code_lines = ["no shared code"]
        for at, line in enumerate([head, safe(name, _LETTERS), *code_lines][:_LINES]):
            where = left, top + _SIDE + 2 + at * _LINE
            draw.text(where, safe(line, _LETTERS + 2), "black", font=font)
