"""A query and its matches as one page of text and pictures."""

import dataclasses
import random
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from tmssl.data.vienna import title
from tmssl.retrieval.matches import Match, MatchesHeader, QueryMatches
from tmssl.text import safe

if TYPE_CHECKING:
    from tmssl.data.pack import Pack

_CAPTION = 3  # lines under a match
_GAP = 2


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a page is divided: the query's picture, and a grid of matches."""

    query: int
    """rows of the query's picture; it is twice as wide"""
    cell: int
    """rows of a match's picture"""
    columns: int
    lines: int

    @property
    def matches(self) -> int:
        """Matches on the page."""
        return self.columns * self.lines


def lay_out(width: int, height: int) -> Layout:
    """The division of a page of `width` x `height` cells."""
    query = max(5, min(16, height // 2, width // 8))
    room = max(1, width - 2 * query - 2 * _GAP)
    cell = max(5, min(14, height // (2 if height < 45 else 3) - _CAPTION))
    columns = max(1, room // (2 * cell + _GAP))
    lines = max(1, height // (cell + _CAPTION))
    return Layout(query, cell, columns, lines)


FILTERS = ("all", "misses", "best", "worst", "random")


def filtered(
    queries: tuple[QueryMatches, ...], which: str, wanted: str
) -> tuple[QueryMatches, ...]:
    """The queries of a filter whose name, title or codes hold a text.

    `misses` are those without a hit among the first ten matches; `best` and `worst` order by the average
    precision over those ten, and put the surest similarity first; `random` shuffles, always alike.
    """
    text = wanted.casefold()
    kept = []
    for query in queries:
        if which == "misses" and any(match.hit for match in query.matches[:10]):
            continue
        words = " ".join([query.id, query.path, query.title, query.group, *query.vienna])
        if text in words.casefold():
            kept.append(query)
    if which in ("best", "worst"):
        sign = -1 if which == "best" else 1
        kept.sort(key=lambda query: (sign * precision(query), -_surest(query)))
    elif which == "random":
        random.Random(0).shuffle(kept)
    return tuple(kept)


def precision(query: QueryMatches) -> float:
    """Average precision over the first ten matches, 0 to 1; 0 without a hit."""
    hits = [place for place, match in enumerate(query.matches[:10], 1) if match.hit]
    return sum(count / place for count, place in enumerate(hits, 1)) / max(1, len(hits))


def _surest(query: QueryMatches) -> float:
    """Similarity of the nearest match."""
    return query.matches[0].similarity if query.matches else 0.0


def verdict(match: Match) -> tuple[str, str]:
    """A word and a colour for a match."""
    if match.same_group:
        return "= same", "bold green"
    return ("+ hit", "green") if match.hit else ("- miss", "red")


def captions(match: Match, width: int) -> list[Text]:
    """Three lines under a match: rank and similarity, verdict, shared codes."""
    word, colour = verdict(match)
    shared = " ".join(match.shared) if match.shared else "no shared code"
    lines = [Text(f"{match.rank}. {match.similarity:.3f}"), Text(word, colour), Text(safe(shared))]
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    return lines


def describe_query(query: QueryMatches, number: int, count: int, width: int) -> list[Text]:
    """Where we are, the query's name and title, its codes with titles."""
    codes = "; ".join(f"{code} {title(code)}".strip() for code in query.vienna) or "no Vienna codes"
    first = f"first hit at rank {query.first_hit}" if query.first_hit else "no hit found"
    lines = [
        Text(f"query {number}/{count}: {safe(query.id or query.path)} {safe(query.title)}", "bold"),
        Text(f"{first}; {safe(codes)}"),
    ]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def page(
    query: QueryMatches, pack: "Pack", layout: Layout, *, number: int, count: int, width: int
) -> Text:
    """The page: two lines of words, then the query's picture beside a grid of its matches."""
    from tui.thumbnail import thumbnail

    matches = query.matches[: layout.matches]
    pictures = pack.read([query.row, *(match.row for match in matches)])
    left = [Text.from_ansi(line) for line in thumbnail(pictures[0], 2 * layout.query, layout.query)]
    left.append(Text("query".center(2 * layout.query), "bold"))
    cell = 2 * layout.cell
    blocks = [
        [*map(Text.from_ansi, thumbnail(pixels, cell, layout.cell)), *captions(match, cell)]
        for pixels, match in zip(pictures[1:], matches, strict=True)
    ]
    right = _grid(blocks, layout.columns)
    lines = describe_query(query, number, count, width)
    blank = Text(" " * 2 * layout.query)
    for i in range(max(len(left), len(right))):
        beside = right[i] if i < len(right) else Text()
        lines.append(Text.assemble(left[i] if i < len(left) else blank, " " * _GAP, beside))
    return Text("\n").join(lines)


def _grid(blocks: list[list[Text]], columns: int) -> list[Text]:
    """Blocks of equal size side by side, so many to a line."""
    lines = []
    for begin in range(0, len(blocks), columns):
        rows = zip(*blocks[begin : begin + columns], strict=True)
        lines += [Text(" " * _GAP).join(row) for row in rows]
    return lines


def footer_words(header: MatchesHeader, name: str, which: str, wanted: str) -> str:
    """What is shown: the evaluation and the filter."""
    words = f"{name}, {header.gallery:,} marks searched, showing {which}"
    return words + (f" with '{safe(wanted)}'" if wanted else "")


def matches_files(folder: Path) -> list[Path]:
    """The matches files of a run, oldest epoch first."""
    return sorted(folder.glob("*.matches.jsonl"))
