"""A query and its matches, of one evaluation or of two, as one page of text and pictures."""

import dataclasses
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import Match, QueryMatches, first_hit, shared_codes
from tmssl.text import safe
from tui.matches.query_list import precision, query_name
from tui.theme import QUIET

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack

_GAP = 2
_CELLS = range(18, 4, -1)  # rows of a match's picture, large before small
_MIDDLING, _LARGE = 8, 12  # rows from which a caption has two lines for shared codes, and three
_ACROSS, _DOWN = 50, 36  # rows of a screen from which more matches are wanted
SIZES = (2, 4, 8, 12, 20)
"""about how many matches a page shows, few and large or many and small"""


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

    @property
    def caption(self) -> int:
        """Lines under a match."""
        return 5 if self.cell >= _LARGE else 4 if self.cell >= _MIDDLING else 3


def usual_size(height: int) -> int:
    """Place in SIZES that suits a screen of `height` rows."""
    return 4 if height >= _ACROSS else 3 if height >= _DOWN else 2


def lay_out(width: int, height: int, wanted: int = 8, blocks: int = 1) -> Layout:
    """The division of a page of `width` x `height` cells: pictures as large as `wanted` matches allow.

    `blocks` is 2 where two evaluations are compared; each then has `wanted` matches in half the height.
    """
    query = max(5, min(18, height // 2, width // 8))
    room, tall = max(1, width - 2 * query - _GAP), height // blocks
    found = Layout(query, 5, 1, 1)
    for cell in _CELLS:
        tried = Layout(query, cell, 0, 0)
        columns, lines = (room + _GAP) // (2 * cell + _GAP), tall // (cell + tried.caption)
        if columns and lines:
            found = Layout(query, cell, columns, lines)
            if found.matches >= wanted:
                break
    return found


def verdict(match: Match, query: QueryMatches) -> tuple[str, str]:
    """A word and a colour for a match."""
    if match.duplicate:
        return "~ copy", "magenta"
    if match.same_group:
        return "= same", "bold green"
    if not query.labelled:
        return "unlabelled", QUIET
    return ("+ hit", "green") if match.hit else ("- miss", "red")


def captions(
    match: Match, query: QueryMatches, width: int, lines: int, moved: str = ""
) -> list[Text]:
    """Lines under a match: rank and similarity, verdict, name, shared codes with titles.

    `moved` is where another evaluation has it.
    """
    word, colour = verdict(match, query)
    name = safe(match.title or match.id or match.path)
    shared = shared_codes(match, query)
    first = Text(f"{match.rank}. {match.similarity:.3f}")
    if lines > 3:
        told = [Text.assemble(first, " ", (word, colour)), Text(name, "bold")]
        told += [Text(safe(line)) for line in ([moved] if moved else []) + shared]
    else:
        told = [
            first,
            Text.assemble((word, colour), f" {name}"),
            Text(moved or safe("".join(shared[:1]))),
        ]
    told = [*told[:lines], *(Text() for _ in range(lines - len(told)))]
    for line in told:
        line.truncate(width, overflow="ellipsis", pad=True)
    return told


def describe_query(query: QueryMatches, number: int, count: int, width: int) -> Text:
    """Where we are, the query's name and title, and how it was answered."""
    line = Text(f"query {number}/{count}, {_answered(query)}: ")
    line.append(query_name(query), "bold")
    line.truncate(width, overflow="ellipsis")
    return line


def _answered(query: QueryMatches) -> str:
    """Where the first hit is, and the average precision where there can be one."""
    judged = f", AP {precision(query):.2f}" if query.labelled else ""
    return first_hit(query) + judged


def code_lines(query: QueryMatches, matches: Sequence[Match], width: int) -> list[Text]:
    """The query's codes with titles, and the ranks that share each."""
    lines = [Text("its Vienna codes" if query.vienna else "no Vienna codes", "bold")]
    for code in query.vienna:
        told = textwrap.wrap(safe(f"{code} {title(code)}".strip()), max(8, width - 1))
        ranks = [
            str(match.rank)
            for match in matches
            if any(code.startswith(one) or one.startswith(code) for one in match.shared)
        ]
        lines += [Text(line) for line in told]
        lines.append(Text(f"  rank {' '.join(ranks)}" if ranks else "  shared by none", QUIET))
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    return lines


@dataclasses.dataclass(frozen=True)
class Sheet:
    """What a page shows, and the room it has."""

    query: QueryMatches
    number: int
    """place of the query among those shown, from 1"""
    count: int
    """how many are shown"""
    width: int
    """cells of a line"""
    height: int
    """lines there are"""
    wanted: int
    """about how many matches"""
    plain: bool = False
    """whether pictures are drawn in ASCII"""


def page(sheet: Sheet, pack: "Pack") -> Text:
    """The page: a line of words, then the query's picture and codes beside a grid of its matches."""
    layout = lay_out(sheet.width, sheet.height - 1, sheet.wanted)
    matches = sheet.query.matches[: layout.matches]
    _check_rows(sheet.query, pack)
    right = _grid(_blocks(sheet.query, matches, {}, pack, layout, sheet.plain), layout.columns)
    return _joined(sheet, pack, layout, right)


def _check_rows(query: QueryMatches, pack: "Pack") -> None:
    """Refuse matches of other marks than the pack's.

    Raises:
        InputError: they name a row that it has not.
    """
    if max(query.row, *(match.row for match in query.matches), 0) >= pack.count:
        raise InputError(
            f"these matches are of other marks than the pack at {safe(pack.folder)} holds; evaluate again"
        )


def pair_page(
    sheet: Sheet, other: QueryMatches | None, names: tuple[str, str], pack: "Pack"
) -> Text:
    """The matches of one query in two evaluations, one above the other, each match told where it was.

    Args:
        sheet: the query in the evaluation that is shown.
        other: the same query in the other one, None where it has it not.
        names: of both evaluations.
        pack: whose pixels they are.
    """
    query, wanted = sheet.query, max(2, sheet.wanted // 2)
    layout = lay_out(sheet.width, sheet.height - 3, wanted, blocks=2)
    right: list[Text] = []
    for name, one, beside in ((names[0], query, other), (names[1], other, query)):
        if one is not None:
            _check_rows(one, pack)
        if one is None:
            right.append(Text(f"{safe(name)} has no such query"))
            continue
        ranks = {match.row: match.rank for match in beside.matches} if beside else {}
        right.append(Text(f"{safe(name)}: {_answered(one)}", "bold"))
        matches = one.matches[: layout.matches]
        moved = {m.row: _moved(m.rank, ranks.get(m.row), one is query) for m in matches}
        right += _grid(_blocks(one, matches, moved, pack, layout, sheet.plain), layout.columns)
    return _joined(sheet, pack, layout, right)


def _moved(rank: int, beside: int | None, newer: bool) -> str:
    """Where the other evaluation has a match."""
    if beside is None:
        return "new here" if newer else "gone"
    if beside == rank:
        return "same rank"
    return f"was {beside}" if newer else f"now {beside}"


def _query_column(
    query: QueryMatches, matches: Sequence[Match], pack: "Pack", layout: Layout, plain: bool
) -> list[Text]:
    """The query's picture and codes."""
    from tui.matches.thumbnail import picture_lines

    width = 2 * layout.query
    lines = picture_lines(pack.read([query.row])[0], width, layout.query, plain)
    return [*lines, *code_lines(query, matches, width)]


def _blocks(
    query: QueryMatches,
    matches: Sequence[Match],
    moved: dict[int, str],
    pack: "Pack",
    layout: Layout,
    plain: bool,
) -> list[list[Text]]:
    """Each match as lines of equal width: its picture, framed where it is a hit, and its caption."""
    from tmssl.retrieval.evaluation.examples import framed
    from tmssl.retrieval.evaluation.matches import verdict as frame_of
    from tui.matches.thumbnail import picture_lines

    cell = 2 * layout.cell
    pictures = pack.read([match.row for match in matches])
    return [
        [
            *picture_lines(framed(pixels, frame_of(match, query)), cell, layout.cell, plain),
            *captions(match, query, cell, layout.caption, moved.get(match.row, "")),
        ]
        for pixels, match in zip(pictures, matches, strict=True)
    ]


def _joined(sheet: Sheet, pack: "Pack", layout: Layout, right: list[Text]) -> Text:
    """Words, and under them the query beside its matches; what would be below the screen is left out."""
    shown = sheet.query.matches[: layout.matches]
    left = _query_column(sheet.query, shown, pack, layout, sheet.plain)
    lines = [describe_query(sheet.query, sheet.number, sheet.count, sheet.width)]
    blank = Text(" " * 2 * layout.query)
    for i in range(min(max(len(left), len(right)), sheet.height - len(lines))):
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
