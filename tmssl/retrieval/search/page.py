"""A search as one HTML file."""

from collections.abc import Sequence

from tmssl.data.pack.reader import Pack
from tmssl.retrieval.html import Cell, Table, data_uri, named_codes, render
from tmssl.retrieval.search.frames import framed_region
from tmssl.retrieval.search.results import SearchMatch, SearchRecord
from tmssl.text import safe
from tmssl.types import Pixels

_KINDS = ("picture", "text", "codes")
_LINKS = ("http://", "https://")


def search_page(record: SearchRecord, logos: Sequence[Pixels | None], pack: Pack) -> str:
    """A search: every logo with its likely codes and the marks it resembles.

    Args:
        record: the search.
        logos: the image of each result, uint8 (s, s, 3); None where a text alone was searched for.
        pack: of the gallery.
    """
    filters = record.filters()
    risks = record.risk_words()
    facts = [
        *([risks + "; the worst risk comes first" * bool(record.worst_first())] if risks else []),
        f"Searched {record.searched}, {record.compared:,} of {record.marks:,} marks compared"
        + (f" ({', '.join(filters)})" if filters else "")
        + (f", whitened to {record.whitened} features" if record.whitened else "")
        + (f", nearest by index {record.factory}" if record.factory else "")
        + (f", nearest by {record.engine}" if record.engine else "")
        + (f", {record.ranked_by()}" if record.weights else ""),
        f"Model {record.model}, checkpoint {record.checkpoint} (SHA-256 {record.checkpoint_sha256}), "
        f"epoch {record.epoch:.4g}, index SHA-256 {record.index_sha256}",
        record.note,
        *([record.attribution] if record.attribution else []),
    ]
    tables = []
    numbers = range(len(logos)) if record.above is None else record.worst_first()
    for result, pixels in ((record.answers[number], logos[number]) for number in numbers):
        further = sorted({name for match in result.matches for name in match.extra})
        parts = [name for name in _KINDS if any(name in match.parts for match in result.matches)]
        columns = ["Rank", "Mark", "Similarity", *(f"In {name}" for name in parts), "Title", "Id"]
        columns += ["Shared codes", "Codes", *further]
        tables.append(
            Table(
                safe(result.source()),
                [safe(name, 80) for name in columns],
                [_match_row(match, pixels, parts, further, pack) for match in result.matches],
                picture=data_uri(pixels) if pixels is not None else "",
                words=safe(
                    result.codes() + (f"; SHA-256 {result.sha256}" if result.sha256 else ""), 1000
                ),
            )
        )
    return render(f"Marks that resemble a {'query' if record.weights else 'logo'}", facts, tables)


def _match_row(
    match: SearchMatch,
    logo: Pixels | None,
    parts: Sequence[str],
    further: Sequence[str],
    pack: Pack,
) -> list[Cell]:
    """The row of a match with these likenesses and further columns; only a web address becomes a link."""
    name = safe(match.title or match.path, 200)
    link = match.url if match.url.lower().startswith(_LINKS) else ""
    lines = [name] if link or not match.url else [name, safe(match.url, 200)]
    lines += [f"reads {safe(match.lettering, 200)}"] if match.lettering else []
    extra = [match.extra.get(name, "") for name in further]
    shared = named_codes(list(match.shared)) or ["none"]
    return [
        Cell([str(match.rank)], float(match.rank)),
        Cell(picture=data_uri(framed_region(pack.read([match.row])[0], match.region))),
        _compared(match, logo),
        *(_likeness(match.parts.get(name)) for name in parts),
        Cell(lines, name, link=safe(link, 2000)),
        Cell([safe(match.id)], safe(match.id)),
        Cell(shared, shared[0]),
        Cell(named_codes(match.vienna), " ".join(match.vienna)),
        *(Cell([safe(text, 200)], _sort_key(text)) for text in extra),
    ]


def _compared(match: SearchMatch, logo: Pixels | None) -> Cell:
    """The similarity, and which region of the logo was compared with which of the mark."""
    told = [f"{match.similarity:.4f}", *filter(None, [match.compared()])]
    picture = ""
    if logo is not None and match.logo_region is not None:
        picture = data_uri(framed_region(logo, match.logo_region))
    return Cell(told, match.similarity, picture=picture)


def _likeness(value: float | None) -> Cell:
    """A likeness; a dash where it is unknown, sorted below all others."""
    return Cell(["-"], -2.0) if value is None else Cell([f"{value:.4f}"], value)


def _sort_key(text: str) -> float | str:
    """A sort key: the number where the text is one, so that years and amounts sort as numbers."""
    try:
        return float(text)
    except ValueError:
        return safe(text, 200)
