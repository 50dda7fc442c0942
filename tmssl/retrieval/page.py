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

import numpy as np
import numpy.typing as npt

from tmssl.data.pack.pack import Pack
from tmssl.data.vienna import title
from tmssl.retrieval.matches import Match, MatchesHeader, QueryMatches, shared_codes
from tmssl.retrieval.record import SearchMatch, SearchRecord
from tmssl.retrieval.shown import verdict
from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Score
from tmssl.text import number, rate, safe

Pixels = npt.NDArray[np.uint8]

_SIDE = 128  # pixels of an embedded picture
_MATCHES = 10
_LINKS = ("http://", "https://")


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
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(
        (here / "page.html").read_text("utf-8")
    )  # fmt: skip
    return template.render(
        heading=safe(heading), facts=[safe(fact) for fact in facts], tables=tables,
        style=Markup(style), script=Markup(script), style_hash=_hash(style), script_hash=_hash(script),
    )  # fmt: skip


def _hash(text: str) -> str:
    """A digest as a content security policy wants it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def evaluation_page(
    name: str, event: Eval, header: MatchesHeader,
    chosen: Sequence[tuple[str, QueryMatches]], pack: Pack,
) -> str:  # fmt: skip
    """An evaluation: its figures, the worst failures and a random sample with what was found.

    Args:
        name: of the run.
        event: the figures.
        header: of the matches file.
        chosen: queries, each with the part of the page that it belongs to.
        pack: whose pixels they are.
    """
    how = manner(event)
    facts = [
        f"{event.queries:,} queries ({event.split}) against {event.gallery:,} marks, checkpoint "
        f"{event.checkpoint}, epoch {event.epoch:.4g}" + (f", {how}" if how else ""),
        "A frame marks a hit: a shared figurative Vienna division (dark: the same mark's group). Shared "
        "codes stand rare before frequent.",
        *([header.attribution] if header.attribution else []),
    ]
    parts = dict.fromkeys(part for part, _ in chosen)
    tables = [
        Table(
            part, ["Query", "First hit", "Similarity", "Matches"],
            [_query_row(query, pack) for which, query in chosen if which == part],
        )
        for part in parts
    ]  # fmt: skip
    figures = [figures_table(event.scores)]
    if event.robustness:
        figures.append(figures_table(event.robustness, "Queries that were changed, by change"))
    return render(f"Retrieval of {name}", facts, [*tables, *figures])


def _query_row(query: QueryMatches, pack: Pack) -> list[Cell]:
    """A query with its nearest marks."""
    matches = query.matches[:_MATCHES]
    own, *pictures = map(data_uri, pack.read([query.row, *(match.row for match in matches)]))
    name = safe(query.title or query.id or query.path, 120)
    figures = [
        Figure(picture, verdict(match, query).split()[0], _caption(match, query))
        for match, picture in zip(matches, pictures, strict=True)
    ]
    nearest = matches[0].similarity if matches else 0.0
    first = str(query.first_hit or ("none" if query.labelled else "-"))
    return [
        Cell([name, *named_codes(query.vienna)], name, picture=own),
        Cell([first], query.first_hit or 1e12),
        Cell([f"{nearest:.3f}"], nearest),
        Cell(figures=figures),
    ]


def _caption(match: Match, query: QueryMatches) -> list[str]:
    """What is under a match."""
    name = safe(match.title or match.id or match.path, 60)
    codes = [safe(line, 120) for line in shared_codes(match, query)]
    return [f"{match.rank}. {match.similarity:.3f} {verdict(match, query)}", name, *codes]


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
            score.value, score.chance, None if score.metric == "group_nar" else ratio, score.low,
            score.high, *(score.references.get(name) for name in names),
        ]  # fmt: skip
        name = f"{score.metric}@{score.k}" if score.k else score.metric
        words = [Cell([safe(word)], safe(word)) for word in (name, score.level, score.codes)]
        rows.append([*words, *(Cell([number(one, 3)], -1.0 if one is None else one) for one in figures)])  # fmt: skip
    return Table(title, [safe(name) for name in columns], rows)


def search_page(record: SearchRecord, logos: Sequence[Pixels], pack: Pack) -> str:
    """A search: every logo with its likely codes and the marks it resembles.

    Args:
        record: what was asked and found.
        logos: the image of each answer, uint8 (s, s, 3).
        pack: of the gallery.
    """
    filters = [*(f"--vienna {code}" for code in record.vienna), *(f"--where {one}" for one in record.where)]  # fmt: skip
    facts = [
        f"Searched {record.searched}, {record.compared:,} of {record.marks:,} marks compared"
        + (f" ({', '.join(filters)})" if filters else "")
        + (f", whitened to {record.whitened} features" if record.whitened else "")
        + (f", nearest by index {record.factory}" if record.factory else ""),
        f"Model {record.model}, checkpoint {record.checkpoint} (SHA-256 {record.checkpoint_sha256}), "
        f"epoch {record.epoch:.4g}, index SHA-256 {record.index_sha256}",
        record.note, *([record.attribution] if record.attribution else []),
    ]  # fmt: skip
    tables = []
    for answer, pixels in zip(record.answers, logos, strict=True):
        likely = [f"{one.code} {one.title} ({rate(one.share)})" for one in answer.likely]
        words = f"codes {' '.join(answer.vienna)}" if answer.vienna else (
            f"likely codes, of the nearest marks: {'; '.join(likely)}" if likely else "no likely codes"
        )  # fmt: skip
        further = sorted({name for match in answer.matches for name in match.extra})
        columns = ["Rank", "Mark", "Similarity", "Title", "Id", "Shared codes", "Codes", *further]
        rows = [_match_row(match, further, pack) for match in answer.matches]
        told = "standard input" if answer.file == "-" else answer.file
        tables.append(
            Table(
                safe(told), [safe(name, 80) for name in columns], rows, picture=data_uri(pixels),
                words=safe(f"{words}; SHA-256 {answer.sha256}", 1000),
            )
        )  # fmt: skip
    return render("Marks that resemble a logo", facts, tables)


def _match_row(match: SearchMatch, further: Sequence[str], pack: Pack) -> list[Cell]:
    """One mark that was found; only a web address becomes a link."""
    name = safe(match.title or match.path, 200)
    link = match.url if match.url.lower().startswith(_LINKS) else ""
    lines = [name] if link or not match.url else [name, safe(match.url, 200)]
    shared = named_codes(list(match.shared)) or ["none"]
    return [
        Cell([str(match.rank)], float(match.rank)),
        Cell(picture=data_uri(pack.read([match.row])[0])),
        Cell([f"{match.similarity:.4f}"], match.similarity),
        Cell(lines, name, link=safe(link, 2000)), Cell([safe(match.id)], safe(match.id)),
        Cell(shared, shared[0]), Cell(named_codes(match.vienna), " ".join(match.vienna)),
        *(Cell([safe(match.extra.get(name, ""), 200)], _sort(match.extra.get(name, ""))) for name in further),
    ]  # fmt: skip


def _sort(text: str) -> float | str:
    """A number where it is one, so that years and amounts sort as such."""
    try:
        return float(text)
    except ValueError:
        return safe(text, 200)
