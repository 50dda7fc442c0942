"""Sortable tables with pictures as one HTML file that fetches nothing.

The template escapes text, and the page's content security policy allows no script but this package's,
so a title that got through as markup would still do nothing.
"""

import base64
import dataclasses
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files

from tmssl.data.vienna import title
from tmssl.runs.eval_table import COLUMNS, eval_rows, reference_names
from tmssl.runs.events import Score
from tmssl.text import safe
from tmssl.types import Pixels

_SIDE = 128  # pixels of an embedded picture


@dataclasses.dataclass(frozen=True)
class MatchPicture:
    """A match as a picture with its caption."""

    picture: str
    """a data URI"""
    kind: str
    """`same`, `hit`, `miss`, `duplicate` or `unlabelled`"""
    caption: list[str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One place of a table."""

    lines: Sequence[str] = ()
    sort: float | str = ""
    picture: str = ""
    """a data URI"""
    link: str = ""
    matches: Sequence[MatchPicture] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that the reader can sort by any column."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    picture: str = ""
    words: str = ""


def data_uri(pixels: Pixels) -> str:
    """A picture, uint8 (h, w, 3), as a PNG within a URI."""
    from PIL import Image

    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def render(heading: str, facts: Sequence[str], tables: Sequence[Table]) -> str:
    """The page as HTML."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files("tmssl.retrieval")
    html, style, script = (
        (folder / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return environment.from_string(html).render(
        heading=safe(heading),
        facts=[safe(fact) for fact in facts],
        tables=tables,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    """A digest in the form of a content security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def named_codes(codes: Sequence[str]) -> list[str]:
    """Vienna codes, each with its title."""
    return [safe(f"{code} {title(code)}".strip(), 120) for code in codes]


def scores_table(scores: Sequence[Score], title: str = "Figures") -> Table:
    """Every score beside its chance level, its interval and the references."""
    columns = [*COLUMNS, *(safe(name, 40) for name in reference_names(scores))]
    rows = [[Cell([cell.text], cell.sort) for cell in row.cells] for row in eval_rows(scores)]
    return Table(title, columns, rows)
