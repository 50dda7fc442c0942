"""A query and a grid of its matches, in one evaluation or two, as lines of text and pictures."""

import dataclasses
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.retrieval.evaluation.matches import (
    Match,
    QueryMatches,
    display_name,
    first_hit,
    shared_codes,
    verdict,
)
from tmssl.text import safe
from tui.matches.query_list import average_precision, query_name
from tui.theme import QUIET

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack
    from tmssl.types import Pixels
    from tui.pictures.pixels import PixelPictures

_GAP = 2  # cells between columns
_PICTURE_ROWS = range(18, 4, -1)  # of a match, the largest first
_MEDIUM, _LARGE = 8, 12  # picture rows from which a caption has at least four lines, and five
_LONGEST_CAPTION = 5  # lines
PAGE_SIZES = (2, 4, 8, 12, 20)
"""about how many matches a page shows, few and large or many and small"""
_VERDICTS = {
    "duplicate": ("~ copy", "magenta"),
    "same group": ("= same", "bold green"),
    "hit": ("+ hit", "green"),
    "miss": ("- miss", "red"),
    "unlabelled": ("unlabelled", QUIET),
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """How a page is divided: the query's picture on the left, and a grid of matches."""

    query_rows: int
    """rows of the query's picture; its width is twice as many cells"""
    match_rows: int
    """rows of a match's picture; its width is twice as many cells"""
    columns: int
    lines: int
    caption_rows: int = 3
    """lines under a match"""

    @property
    def matches(self) -> int:
        """Matches in the grid."""
        return self.columns * self.lines


def default_page_size(height: int) -> int:
    """The index into PAGE_SIZES that suits a screen of `height` rows."""
    return 4 if height >= 50 else 3 if height >= 36 else 2


def lay_out(width: int, height: int, wanted: int = 8, blocks: int = 1) -> Layout:
    """The layout of `width` x `height` cells with the largest pictures that leave room for `wanted` matches.

    `blocks` is 2 where two evaluations are compared: each has `wanted` matches in half the height.
    """
    query = max(5, min(18, height // 2, width // 8))
    grid_width, grid_height = max(1, width - 2 * query - _GAP), height // blocks
    best = Layout(query, 5, 1, 1)
    for rows in _PICTURE_ROWS:
        caption = 5 if rows >= _LARGE else 4 if rows >= _MEDIUM else 3
        columns = (grid_width + _GAP) // (2 * rows + _GAP)
        lines = grid_height // (rows + caption)
        if columns and lines:
            best = Layout(query, rows, columns, lines, caption)
            if best.matches >= wanted:
                break
    filled = min(best.lines, -(-wanted // best.columns))  # captions take the room below
    room = max(best.caption_rows, min(_LONGEST_CAPTION, grid_height // filled - best.match_rows))
    lines = max(1, grid_height // (best.match_rows + room))
    return dataclasses.replace(best, lines=lines, caption_rows=room)


@dataclasses.dataclass(frozen=True)
class PageSpec:
    """What a page shows, and its size."""

    query: QueryMatches
    number: int
    """position of the query in the list, from 1"""
    count: int
    """queries in the list"""
    width: int
    """cells of a line"""
    height: int
    """lines"""
    wanted: int
    """about how many matches to show"""
    way: str = "quadrant"
    """how pictures are drawn: one of `tui.pictures.ways.DRAWN`"""
    pixels: "PixelPictures | None" = None
    """where the app keeps what it shows in pixels"""


@dataclasses.dataclass(frozen=True)
class _Canvas:
    """Where the pixels of marks come from, and how they are drawn."""

    pack: "Pack"
    layout: Layout
    spec: PageSpec

    def draw(self, pictures: "Iterable[Pixels]", rows: int) -> list[list[Text]]:
        """Pictures as lines, twice as many cells wide as high."""
        from tui.pictures.text import text_lines

        return text_lines(pictures, 2 * rows, rows, self.spec.way, self.spec.pixels)


def match_page(spec: PageSpec, pack: "Pack") -> Text:
    """A heading, then the query's picture and codes beside a grid of its matches.

    Raises:
        InputError: the pack has no such rows.
    """
    wanted = max(1, min(spec.wanted, len(spec.query.matches)))  # fewer are shown larger
    canvas = _Canvas(pack, lay_out(spec.width, spec.height - 1, wanted), spec)
    _check_rows(spec.query, pack)
    return _page(spec, canvas, _grid(spec.query, {}, canvas))


def compared_page(
    spec: PageSpec, other: QueryMatches | None, names: tuple[str, str], pack: "Pack"
) -> Text:
    """A query's matches in two evaluations, one above the other, each match with its rank in the other.

    Args:
        spec: the query in the shown evaluation.
        other: the same query in the other evaluation, None if it is not there.
        names: of both evaluations.
        pack: the pixels of both.

    Raises:
        InputError: the pack has no such rows.
    """
    layout = lay_out(spec.width, spec.height - 3, max(2, spec.wanted // 2), blocks=2)
    canvas = _Canvas(pack, layout, spec)
    lines: list[Text] = []
    for name, query, compared in ((names[0], spec.query, other), (names[1], other, spec.query)):
        if query is None:
            lines.append(Text(f"{safe(name)} does not have this query"))
            continue
        _check_rows(query, pack)
        lines.append(Text(f"{safe(name)}: {_outcome(query)}", "bold"))
        ranks = {match.row: match.rank for match in compared.matches} if compared else {}
        changes = {
            match.row: _rank_change(match.rank, ranks.get(match.row), query is spec.query)
            for match in query.matches
        }
        lines += _grid(query, changes, canvas)
    return _page(spec, canvas, lines)


def _check_rows(query: QueryMatches, pack: "Pack") -> None:
    """Refuse matches that name rows beyond the pack's, so those of another pack."""
    if max(query.row, *(match.row for match in query.matches), 0) >= pack.count:
        raise InputError(
            f"these matches are not of the pack at {safe(pack.folder)}: it has fewer marks; evaluate again"
        )


def _rank_change(rank: int, other_rank: int | None, newer: bool) -> str:
    """How the rank of a match differs from the other evaluation; `newer` for the first of the two."""
    if other_rank is None:
        return "new here" if newer else "gone"
    if other_rank == rank:
        return "same rank"
    return f"was {other_rank}" if newer else f"now {other_rank}"


def _page(spec: PageSpec, canvas: _Canvas, grid: list[Text]) -> Text:
    """The heading, and the query beside the grid."""
    return beside(
        _heading(spec), _query_column(spec.query, canvas), grid, canvas.layout, spec.height
    )


def beside(
    heading: Text, left: Sequence[Text], grid: Sequence[Text], layout: Layout, height: int
) -> Text:
    """A heading, and below it the query's column beside the grid; lines beyond the height are left out."""
    lines = [heading]
    blank = Text(" " * 2 * layout.query_rows)
    for i in range(min(max(len(left), len(grid)), height - 1)):
        right = grid[i] if i < len(grid) else Text()
        lines.append(Text.assemble(left[i] if i < len(left) else blank, " " * _GAP, right))
    return Text("\n").join(lines)


def _heading(spec: PageSpec) -> Text:
    """The position in the list, the outcome, and the query's name."""
    line = Text(f"query {spec.number}/{spec.count}, {_outcome(spec.query)}: ")
    line.append(query_name(spec.query), "bold")
    line.truncate(spec.width, overflow="ellipsis")
    return line


def _outcome(query: QueryMatches) -> str:
    """The rank of the first hit, and the average precision of a labelled query."""
    precision = f", AP {average_precision(query):.2f}" if query.labelled else ""
    return first_hit(query) + precision


def _query_column(query: QueryMatches, canvas: _Canvas) -> list[Text]:
    """The query's picture, and its codes with the ranks of the shown matches that share each."""
    rows = canvas.layout.query_rows
    width = 2 * rows
    lines = [Text("its Vienna codes" if query.vienna else "no Vienna codes", "bold")]
    for code in query.vienna:
        text = textwrap.wrap(safe(f"{code} {title(code)}".strip()), max(8, width - 1))
        lines += [Text(line) for line in text]
        ranks = [
            str(match.rank)
            for match in query.matches[: canvas.layout.matches]
            if any(code.startswith(shared) or shared.startswith(code) for shared in match.shared)
        ]
        lines.append(Text(f"  rank {' '.join(ranks)}" if ranks else "  shared by none", QUIET))
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    (picture,) = canvas.draw(canvas.pack.read([query.row]), rows)
    return [*picture, *lines]


def _grid(query: QueryMatches, changes: dict[int, str], canvas: _Canvas) -> list[Text]:
    """The first matches side by side: pictures, framed if they are hits, over captions.

    `changes` says by row how a match's rank differs from the other evaluation.
    """
    from tmssl.retrieval.evaluation.examples import framed

    rows, columns = canvas.layout.match_rows, canvas.layout.columns
    matches = query.matches[: canvas.layout.matches]
    pixels = canvas.pack.read([match.row for match in matches])
    pictures = [
        framed(one, verdict(match, query)) for one, match in zip(pixels, matches, strict=True)
    ]
    captions = [
        _caption(match, query, canvas.layout, changes.get(match.row, "")) for match in matches
    ]
    return grid_of(canvas.draw(pictures, rows), captions, columns)


def grid_of(
    pictures: Iterable[list[Text]], captions: Iterable[list[Text]], columns: int
) -> list[Text]:
    """Pictures over their captions, so many side by side; all lines of a picture, and of a caption, are equally long."""
    cells = [[*picture, *caption] for picture, caption in zip(pictures, captions, strict=True)]
    gap, begins = Text(" " * _GAP), range(0, len(cells), columns)
    rows_of_cells = (zip(*cells[begin : begin + columns], strict=True) for begin in begins)
    return [gap.join(parts) for lines in rows_of_cells for parts in lines]


def fitted(lines: list[Text], rows: int, width: int) -> list[Text]:
    """The first lines, blank ones after them up to `rows`, each of exactly `width` cells."""
    lines = [*lines[:rows], *(Text() for _ in range(rows - len(lines)))]
    for line in lines:
        line.truncate(width, overflow="ellipsis", pad=True)
    return lines


def _caption(match: Match, query: QueryMatches, layout: Layout, change: str) -> list[Text]:
    """The lines under a match: rank, similarity, verdict, name, change of rank, shared codes."""
    label, colour = _VERDICTS[verdict(match, query)]
    name = safe(display_name(match))
    shared = shared_codes(match, query)
    rank = Text(f"{match.rank}. {match.similarity:.3f}")
    rows = layout.caption_rows
    if rows > 3:
        outcome, cells = Text(label, colour), 2 * layout.match_rows
        one_line = rank.cell_len + 1 + outcome.cell_len <= cells
        lines = [Text.assemble(rank, " ", outcome)] if one_line else [rank, outcome]
        lines.append(Text(name, "bold"))
        lines += [Text(safe(line)) for line in ([change] if change else []) + shared]
    else:
        lines = [rank, Text.assemble((label, colour), f" {name}")]
        lines.append(Text(change or safe("".join(shared[:1]))))
    return fitted(lines, rows, 2 * layout.match_rows)
