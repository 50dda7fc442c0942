"""A logo and a page of the marks that it resembles, as lines of text and pictures."""

import dataclasses
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from rich.text import Text

from tmssl.data.vienna import title
from tmssl.errors import InputError
from tmssl.retrieval.search.results import SearchMatch, SearchRecord, SearchResult
from tmssl.text import count, rate, safe
from tui.matches.match_grid import Layout, beside, fitted, grid_of, lay_out
from tui.paths import display_path
from tui.theme import QUIET

if TYPE_CHECKING:
    from tmssl.data.pack.reader import Pack
    from tmssl.types import Pixels
    from tui.pictures.pixels import PixelPictures

_MANY = 3  # lines of a caption, above which its parts have a line each


@dataclasses.dataclass(frozen=True)
class AnswerSpec:
    """Which matches of an answer to show, and in how many cells."""

    answer: SearchResult
    number: int
    """position of the answer, from 1"""
    count: int
    """answers"""
    page: int
    """from 0; one beyond the last stands for the last"""
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

    @property
    def layout(self) -> Layout:
        """How its lines are divided; fewer matches are shown larger."""
        wanted = max(1, min(self.wanted, len(self.answer.matches)))
        return lay_out(self.width, self.height - 1, wanted)

    @property
    def pages(self) -> int:
        """Pages that the matches take; one at least."""
        return max(1, -(-len(self.answer.matches) // self.layout.matches))


def answer_page(spec: AnswerSpec, logo: "Pixels | None", pack: "Pack") -> Text:
    """A heading, then the logo and its codes beside a grid of the marks that it resembles.

    Args:
        spec: what to show.
        logo: as it was compared, uint8 (s, s, 3); None leaves its place out.
        pack: of the marks.

    Raises:
        InputError: the pack has no such rows.
    """
    from tmssl.retrieval.search.frames import framed_region
    from tui.pictures.text import text_lines

    layout, page = spec.layout, min(spec.page, spec.pages - 1)
    matches = spec.answer.matches[page * layout.matches :][: layout.matches]
    if not all(0 <= match.row < pack.count for match in matches):
        raise InputError(
            f"this search is not of the pack at {safe(pack.folder)}: it has fewer marks; search again"
        )
    rows = layout.query_rows
    if logo is not None and matches:  # the frame in it is that of the first match of the page
        logo = framed_region(logo, matches[0].logo_region)
    drawn = text_lines([] if logo is None else [logo], 2 * rows, rows, spec.way, spec.pixels)
    left = [*(drawn[0] if drawn else []), *_codes(spec.answer, matches, 2 * rows)]
    marks = list(pack.read([match.row for match in matches])) if matches else []
    pictures = text_lines(
        map(framed_region, marks, (match.region for match in matches)),
        2 * layout.match_rows,
        layout.match_rows,
        spec.way,
        spec.pixels,
    )
    grid = grid_of(pictures, [_caption(match, layout) for match in matches], layout.columns)
    return beside(_heading(spec, page), left, grid, layout, spec.height)


def nothing_found(record: SearchRecord) -> str:
    """Why a search has no match to show."""
    if not record.compared:
        return "no mark passes the filters; press / to change them"
    asked = count(len(record.answers), "logo")
    return f"none of {asked} resembles a mark by at least {record.above or 0:g}; press / to change that"


def _heading(spec: AnswerSpec, page: int) -> Text:
    """The position among the answers, how many marks it found, the page, and the logo's name."""
    place = f"logo {spec.number}/{spec.count}, " if spec.count > 1 else ""
    found = count(len(spec.answer.matches), "mark")
    pages = f", page {page + 1}/{spec.pages}" if spec.pages > 1 else ""
    line = Text(f"{place}{found}{pages}: ")
    file = Path(spec.answer.file)
    for name in (display_path(file), file.name):  # a long path would hide which part it is
        named = msgspec.structs.replace(spec.answer, file=name if spec.answer.file else "")
        if len(line) + len(named.source()) <= spec.width:
            break
    line.append(safe(named.source(), 1000), "bold")
    line.truncate(spec.width, overflow="ellipsis")
    return line


def _codes(answer: SearchResult, matches: list[SearchMatch], width: int) -> list[Text]:
    """The logo's own codes, or the likely ones, each with the ranks of the shown matches that share it."""
    if answer.vienna:
        told = [(code, title(code)) for code in answer.vienna]
        head = "its Vienna codes"
    else:
        told = [(one.code, f"{one.title} ({rate(one.share)})") for one in answer.likely]
        head = "likely codes" if told else "no likely codes"
    lines = [Text(head, "bold")]
    for code, words in told:
        lines += map(Text, textwrap.wrap(safe(f"{code} {words}".strip()), max(8, width - 1)))
        ranks = [
            str(match.rank)
            for match in matches
            if any(code.startswith(shared) for shared in match.shared)
        ]
        lines.append(Text(f"  rank {' '.join(ranks)}" if ranks else "  shared by none", QUIET))
    return fitted(lines, len(lines), width)


def _caption(match: SearchMatch, layout: Layout) -> list[Text]:
    """The lines under a match: rank, similarity, name, shared codes."""
    rank = Text(f"{match.rank}. {match.similarity:.3f}")
    name = safe(match.title or match.lettering or match.id or match.path, 200)
    shared = [f"{code} {words}".strip() for code, words in match.shared.items()]
    shared = ["the logo itself"] if match.own else shared or ["no shared code"]
    lines = [rank, Text(name, "bold")]
    if layout.caption_rows > _MANY and match.id and match.title:
        lines.append(Text(safe(match.id, 200)))
    if compared := match.compared():
        lines.append(Text(safe(compared, 80)))
    if match.parts:
        lines.append(
            Text(" ".join(f"{safe(one, 8)} {value:.2f}" for one, value in match.parts.items()))
        )
    lines += [Text(safe(line, 200)) for line in shared]
    return fitted(lines, layout.caption_rows, 2 * layout.match_rows)
