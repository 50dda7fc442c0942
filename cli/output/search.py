"""What a search found, on stdout: pictures for a person, plain lines, CSV or JSON for a program."""

import csv
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from cli.output.console import say_data
from cli.output.pictures import PictureStyle, fitting, side_by_side
from tmssl.retrieval.search.results import SearchMatch, SearchRecord, SearchResult
from tmssl.text import safe, spreadsheet_cell

if TYPE_CHECKING:
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.retrieval.search.logos import Logo

_COLUMNS = (
    "query query_sha256 crop text rank similarity picture_similarity text_similarity "
    "code_similarity id title lettering url path vienna shared"
).split()


def print_result(
    answer: SearchResult, logo: "Logo | None", gallery: "Gallery", style: PictureStyle | None
) -> None:
    """A logo and its matches: with pictures, or as paths and scores without a style."""
    if style:
        width = shutil.get_terminal_size().columns
        lines = picture_lines(answer, logo, gallery, width, style)
        lines += [text[: width - 1] for text in match_lines(answer)]
    else:
        lines = [about(answer), *match_lines(answer)]
    for line in lines:
        say_data(line)


def print_closing(record: SearchRecord) -> None:
    """What was searched, and what a ranking is worth."""
    say_data()
    say_data(record.searched_words())
    if risks := record.risk_words():
        say_data(risks)
    say_data(record.note)
    if record.attribution:
        say_data(safe(record.attribution))


def print_csv(record: SearchRecord) -> None:
    """A line for each match; the catalogue's further columns come last."""
    matches = [(answer, match) for answer in record.answers for match in answer.matches]
    further = sorted({name for _, match in matches for name in match.extra})
    table = csv.writer(sys.stdout)
    table.writerow([*_COLUMNS, *map(spreadsheet_cell, further)])
    for answer, match in matches:
        cells = [
            answer.file,
            answer.sha256,
            answer.crop,
            answer.text,
            match.rank,
            f"{match.similarity:.6f}",
            *(_share(match.parts.get(name)) for name in ("picture", "text", "codes")),
            match.id,
            match.title,
            match.lettering,
            match.url,
            match.path,
            ";".join(match.vienna),
            ";".join(match.shared),
            *(match.extra.get(name, "") for name in further),
        ]
        table.writerow([spreadsheet_cell(cell) for cell in cells])


def _share(value: float | None) -> str:
    """A likeness with six decimals; empty where it was not compared."""
    return "" if value is None else f"{value:.6f}"


def about(result: SearchResult) -> str:
    """The name of a logo, and its own Vienna codes or the likely ones."""
    return safe(f"{result.source()}: {result.codes()}", 1000)


def match_lines(result: SearchResult) -> list[str]:
    """A line for each match: rank, similarity, shared codes, path, id, title and url."""
    shared = [" ".join(match.shared) or "-" for match in result.matches]
    widest = max(map(len, shared), default=0)
    lines = []
    for match, codes in zip(result.matches, shared, strict=True):
        reads = f"reads {match.lettering}" if match.lettering else ""
        known = [match.path, match.id, match.title, reads, match.url, match.compared()]
        known.append("(the logo itself)" * match.own)
        words = "  ".join(safe(word, 120) for word in known if word)
        lines.append(
            f"{match.rank:>4} {match.similarity:.4f}  {parts_words(match)}{codes:{widest}}  {words}"
        )
    return lines


def parts_words(match: SearchMatch) -> str:
    """`(picture 0.713, text 1.000)  `; empty where the picture alone was compared."""
    parts = ", ".join(f"{name} {part:.3f}" for name, part in match.parts.items())
    return f"({parts})  " if parts else ""


def picture_lines(
    result: SearchResult, logo: "Logo | None", gallery: "Gallery", width: int, style: PictureStyle
) -> list[str]:
    """A logo and as many matches as fit beside it, with the titles of the codes they share."""
    from tmssl.retrieval.search.frames import framed_region

    matches = result.matches[: fitting(width) - (logo is not None)]
    marks = gallery.images.read([match.row for match in matches])
    pictures = list(map(framed_region, marks, (match.region for match in matches)))
    compared = any(match.compared() for match in matches)
    captions = [caption(match) + [match.compared()] * compared for match in matches]
    if logo is not None:  # the frame in it is that of the first match
        own = framed_region(logo.pixels, matches[0].logo_region if matches else None)
        pictures, captions = [own, *pictures], [["the logo", "", "", *[""] * compared], *captions]
    told = {code: title for match in matches for code, title in match.shared.items() if title}
    shared = "; ".join(f"{code} {title}" for code, title in told.items())
    return [
        *textwrap.wrap(about(result), width - 1),
        *side_by_side(pictures, captions, style),
        *textwrap.wrap(f"shared: {shared}" if shared else "", width - 1),
    ]


def caption(match: SearchMatch) -> list[str]:
    """Rank and similarity, name, and the codes that are shared."""
    name = match.title or match.lettering or match.id or match.path
    codes = " ".join(match.shared) or "no shared code"
    return [f"{match.rank}. {match.similarity:.3f}", safe(name, 40), codes]
