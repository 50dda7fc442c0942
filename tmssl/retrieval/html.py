"""Evaluations and searches as one HTML file: pictures inside, sortable, nothing fetched, nothing foreign run.

Text is escaped by the template, and the page's own policy lets the browser run this package's script
and no other, so that a title that got through as markup would still do nothing.
"""

import base64
import dataclasses
import hashlib
import io
from collections.abc import Sequence
from importlib.resources import files

from tmssl.data.vienna import title
from tmssl.runs.events import Score
from tmssl.text import number, safe
from tmssl.types import Pixels

_SIDE = 128  # pixels of an embedded picture


@dataclasses.dataclass(frozen=True)
class Figure:
    """A match as a picture with words."""

    picture: str
    kind: str
    """`same`, `hit`, `miss`, `duplicate` or `unlabelled`"""
    lines: list[str]


@dataclasses.dataclass(frozen=True)
class Cell:
    """What stands in one place of a table."""

    lines: Sequence[str] = ()
    sort: float | str = ""
    picture: str = ""
    """a data URI"""
    link: str = ""
    figures: Sequence[Figure] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that its reader can sort."""

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
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(written.getvalue()).decode()}"


def render(heading: str, facts: Sequence[str], tables: Sequence[Table]) -> str:
    """The page."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("tmssl.retrieval")
    style, script = ((here / name).read_text("utf-8") for name in ("page.css", "page.js"))
    template = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).from_string((here / "page.html").read_text("utf-8"))
    return template.render(
        heading=safe(heading),
        facts=[safe(fact) for fact in facts],
        tables=tables,
        style=Markup(style),
        script=Markup(script),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    """A digest as a content security policy wants it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def named_codes(codes: Sequence[str]) -> list[str]:
    """Vienna codes with their titles, in their order."""
    return [safe(f"{code} {title(code)}".strip(), 120) for code in codes]


def figures_table(scores: Sequence[Score], title: str = "Figures") -> Table:
    """Every figure beside its chance level, its interval and its references."""
    names = list(scores[0].references) if scores else []
    columns = ["Figure", "Level", "Codes", "Value", "Chance", "Lift", "Low", "High", *names]
    rows = []
    for score in scores:
        ratio = score.value / score.chance if score.value is not None and score.chance else None
        figures = [
            score.value,
            score.chance,
            None if score.metric == "group_nar" else ratio,
            score.low,
            score.high,
            *(score.references.get(name) for name in names),
        ]
        name = f"{score.metric}@{score.k}" if score.k else score.metric
        words = [Cell([safe(word)], safe(word)) for word in (name, score.level, score.codes)]
        rows.append(
            [*words, *(Cell([number(one, 3)], -1.0 if one is None else one) for one in figures)]
        )
    return Table(title, [safe(name) for name in columns], rows)
