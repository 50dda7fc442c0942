"""Queries and their matches as one PNG: hits framed, shared codes named."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tmssl.data.pack.pack import Pack
from tmssl.data.vienna import title
from tmssl.files import write_atomic
from tmssl.retrieval.evaluation.matches import MatchesHeader, QueryMatches, first_hit
from tmssl.retrieval.evaluation.page import evaluation_page
from tmssl.retrieval.evaluation.selection import framed, verdict
from tmssl.runs.events import Eval
from tmssl.text import safe

_SIDE, _GAP, _LINE, _WORDS, _HEAD = 132, 12, 14, 5, 34  # pixels; lines under a picture
_MATCHES = 8
_LETTERS = 21  # in a line under a picture


def contact_sheet(
    heading: str, chosen: Sequence[tuple[str, QueryMatches]], pack: Pack, attribution: str
) -> bytes:
    """A row for each query, the query first and its nearest marks beside it, as a PNG.

    Args:
        heading: first line of the sheet.
        chosen: queries, each with the part of the sheet that it belongs to.
        pack: whose pixels they are.
        attribution: licence line of the images.
    """
    parts = list(dict.fromkeys(part for part, _ in chosen))
    row_height = _SIDE + _WORDS * _LINE + _GAP
    height = _HEAD * (2 + len(parts)) + row_height * len(chosen)
    sheet = Image.new("RGB", (_GAP + (_SIDE + _GAP) * (1 + _MATCHES), height), "white")
    draw, top = ImageDraw.Draw(sheet), _HEAD
    large, small = _font(15), _font(11)
    draw.text((_GAP, 8), safe(heading, 140), "black", font=large)
    for part in parts:
        draw.text((_GAP, top + 8), part, "black", font=large)
        top += _HEAD
        for which, query in chosen:
            if which == part:
                _draw_row(sheet, draw, query, pack, top, small)
                top += row_height
    draw.text((_GAP, top + 8), safe(attribution, 200), "black", font=small)
    written = io.BytesIO()
    sheet.save(written, "PNG", optimize=True)
    return written.getvalue()


def _font(size: int) -> Any:
    """DejaVu Sans, which matplotlib brings, at a size in pixels."""
    import matplotlib as mpl

    return ImageFont.truetype(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf", size)


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    query: QueryMatches,
    pack: Pack,
    top: int,
    font: Any,
) -> None:
    """A query and its matches, from one height of the sheet."""
    matches = query.matches[:_MATCHES]
    pictures = pack.read([query.row, *(match.row for match in matches)])
    told = [
        ("miss", f"query, {first_hit(query)}", query.title or query.id or query.path, query.vienna)
    ]
    told += [
        (
            verdict(match, query),
            f"{match.rank}. {match.similarity:.3f} {verdict(match, query)}",
            match.title or match.id or match.path,
            match.shared,
        )
        for match in matches
    ]
    for place, (pixels, (word, head, name, codes)) in enumerate(zip(pictures, told, strict=True)):
        left = _GAP + place * (_SIDE + _GAP)
        picture = Image.fromarray(framed(pixels, word)).resize(
            (_SIDE, _SIDE), Image.Resampling.LANCZOS
        )
        sheet.paste(picture, (left, top))
        named = textwrap.wrap(
            "; ".join(f"{code} {title(code)}".strip() for code in codes), _LETTERS
        )
        lines = [
            head,
            safe(name, _LETTERS),
            *(named if place == 0 or named or not query.labelled else ["no shared code"]),
        ]
        for at, line in enumerate(lines[:_WORDS]):
            draw.text(
                (left, top + _SIDE + 2 + at * _LINE), safe(line, _LETTERS + 2), "black", font=font
            )


Chosen = Sequence[tuple[str, QueryMatches]]
"""queries, each with the part of the file that it belongs to"""


def write_page(
    path: Path, name: str, event: Eval, header: MatchesHeader, chosen: Chosen, pack: Pack
) -> None:
    """Write an HTML page of an evaluation of the run `name`, its pictures inside.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    write_atomic(path, evaluation_page(name, event, header, chosen, pack).encode())


def write_sheet(path: Path, name: str, header: MatchesHeader, chosen: Chosen, pack: Pack) -> None:
    """Write a PNG with a row for each query.

    Raises:
        InputError: the file cannot be written.
        PackError: the pack is damaged.
    """
    heading = f"{name}, epoch {header.epoch:.4g}, {header.gallery:,} marks searched"
    write_atomic(path, contact_sheet(heading, chosen, pack, header.attribution))
