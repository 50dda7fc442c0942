"""`tmssl data`: describe a source before anything heavy runs."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    MOST,
    ClassFolders,
    Columns,
    ImagesUnder,
    JsonOutput,
    Pictures,
    Sources,
    Workers,
)
from cli.output.console import say_data, say_json
from cli.output.pictures import PictureStyle, picture_style
from cli.output.progress import progress_bar
from cli.signals import end_in_order
from tmssl.errors import PackError
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.data.inspect.summary import Summary
    from tmssl.data.inspect.survey import Survey
    from tmssl.data.sources.catalogue import Catalogue
    from tmssl.retrieval.evaluation.corpus_chance import HitChance

_SHEET_ROWS = 2  # of pictures on the contact sheet
_SIDE = 64  # pixels of a picture there


def data(
    sources: Sources,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample", min=0, max=MOST, metavar="N", help="Look at only N images; 0 is none."
        ),
    ] = None,
    divisions: Annotated[
        int,
        typer.Option(
            "--divisions", min=0, max=MOST, metavar="N", help="Divisions in the plot; 0 is all."
        ),
    ] = 20,
    workers: Workers = 0,
    images_under: ImagesUnder = None,
    columns: Columns = "",
    folders: ClassFolders = "",
    pictures: Pictures = "auto",
    json_output: JsonOutput = False,
) -> None:
    """Describe a source: join, codes, chance levels, sizes, copies, and a sample of the images."""
    from tmssl.data.inspect.summary import summarize
    from tmssl.data.sources.catalogue import read_catalogue
    from tmssl.data.sources.specification import join_sources
    from tmssl.retrieval.evaluation.corpus_chance import corpus_hit_chances

    style = picture_style(pictures)
    end_in_order()
    catalogue = read_catalogue(
        join_sources(sources), images_under, columns=columns, folders=folders
    )
    vienna = catalogue.marks.codes()
    chances = corpus_hit_chances(vienna) if catalogue.report.with_codes else []
    width = shutil.get_terminal_size().columns
    if not json_output:
        _print_labels(catalogue, chances, divisions, width)
    survey = None if sample == 0 else _survey_images(catalogue, sample, workers)
    image_facts = summarize(catalogue.marks, survey) if survey else None
    if json_output:
        _print_json(catalogue, chances, image_facts)
        return
    if survey and image_facts:
        from cli.output.data import shape_lines

        _print_lines(shape_lines(image_facts, width))
        if style:
            _print_lines(sheet_lines(catalogue, survey, width, style))


def _print_lines(lines: list[str]) -> None:
    """Print lines on stdout."""
    for line in lines:
        say_data(line)


def _print_labels(
    catalogue: "Catalogue", chances: "list[HitChance]", most: int, width: int
) -> None:
    """Print what is known without opening an image."""
    from cli.output.data import chance_lines, code_lines, frequencies

    _print_lines(catalogue.report.lines())
    vienna = [codes for codes in catalogue.marks.codes() if codes]
    if not vienna:
        return
    counts = [
        count(len(frequencies(vienna, level)), noun, nouns)
        for level, noun, nouns in (
            ("category", "category", "categories"),
            ("division", "division", None),
            ("section", "section", None),
        )
    ]
    mean = sum(map(len, vienna)) / len(vienna)
    _print_lines([f"  {', '.join(counts)}; {mean:.1f} codes a mark that has any"])
    by_division = frequencies(vienna, "division")
    if by_division:
        _print_lines(code_lines(by_division, len(vienna), most, width))
    _print_lines(chance_lines(chances))


def _survey_images(catalogue: "Catalogue", sample: int | None, workers: int) -> "Survey":
    """Look at all images or at a sample of them."""
    from tmssl.data.inspect import survey

    rows = survey.sample_rows(len(catalogue.marks), sample)
    with progress_bar("looking at images") as update:
        return survey.survey_images(catalogue.locations, rows, workers=workers, progress=update)


def sheet_lines(
    catalogue: "Catalogue", survey: "Survey", width: int, style: PictureStyle
) -> list[str]:
    """A contact sheet of readable images, evenly spread over the source, as they are packed."""
    from cli.output.pictures import CELL, fitting, side_by_side
    from tmssl.data.picture import picture_square
    from tmssl.data.sources.location import open_image

    across = fitting(width)
    readable = survey.images["row"]
    step = max(1, len(readable) // (across * _SHEET_ROWS))
    chosen = readable[step // 2 :: step][: across * _SHEET_ROWS].tolist()
    lines = ["", "some of them, as they are packed"]
    for begin in range(0, len(chosen), across):
        marks = [catalogue.marks[row] for row in chosen[begin : begin + across]]
        try:
            pictures = [
                picture_square(open_image(catalogue.location(mark)), _SIDE) for mark in marks
            ]
        except PackError:
            return [*lines, "the images changed in the meantime"]
        captions = [
            (safe(mark.title or Path(mark.path).stem, CELL), safe(" ".join(mark.vienna), CELL))
            for mark in marks
        ]
        lines += side_by_side(pictures, captions, style)
    return lines


def _print_json(
    catalogue: "Catalogue", chances: "list[HitChance]", shapes: "Summary | None"
) -> None:
    """Print everything as one JSON object, with the full lists of defects."""
    from cli.output.data import frequencies
    from tmssl.data.vienna import LEVELS, title

    vienna = catalogue.marks.codes()
    facts = {
        "join": catalogue.report,
        "codes": {
            level: [
                {"code": code, "title": title(code), "marks": carried}
                for code, carried in frequencies(vienna, level)
            ]
            for level in LEVELS
        },
        "chance": chances,
        "images": shapes,
    }
    say_json(facts)
