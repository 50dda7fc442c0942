"""`tmssl search`: which registered marks resemble a logo."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    Factory,
    JsonOutput,
    RunsFolder,
    Whiten,
    check_folder_of,
    find_run,
)
from cli.output.console import say, say_json
from cli.output.progress import phase_bars
from cli.signals import end_in_order
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.retrieval.search.filters import Condition
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.retrieval.search.logos import Logo, LogoPath
    from tmssl.retrieval.search.results import SearchRecord
    from tmssl.types import Mask, Pixels


def search(
    logos: Annotated[
        list[str],
        typer.Argument(metavar="LOGO", help="Images, folders of images, or `-` for stdin."),
    ],
    run: Annotated[
        Path | None,
        typer.Option(
            "--run",
            metavar="RUN",
            help="Run whose marks are searched; an option, as the arguments are images.  "
            "[default: RUNS/latest]",
        ),
    ] = None,
    topk: Annotated[
        int, typer.Option("-k", "--topk", min=1, metavar="N", help="Marks to find for each logo.")
    ] = 10,
    vienna: Annotated[
        list[str] | None,
        typer.Option(
            "--vienna", metavar="CODE", help="Search only marks with this Vienna code; repeatable."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help='Search only marks that meet it: "year>=2015", "title~moon"; = != < <= > >= ~.',
        ),
    ] = None,
    checkpoint: CheckpointName = "best",
    factory: Factory = "",
    whiten: Whiten = 0,
    csv_output: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with pictures and links."),
    ] = None,
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Find the marks that resemble a logo; nothing leaves the machine."""
    if csv_output and json_output:
        raise InputError("--csv and --json both write to stdout; give one of them")
    end_in_order()
    check_folder_of("--html", html)
    from cli.output.search import print_closing, print_csv, print_result
    from tmssl.retrieval.search.filters import parse_condition
    from tmssl.retrieval.search.logos import find_logos
    from tmssl.retrieval.search.search import find_matches, new_record

    conditions = [parse_condition(text) for text in where or []]
    sources = find_logos(logos)
    gallery = _open_gallery(find_run(run, runs_folder), checkpoint, topk, whiten, factory)
    mask = _mask(gallery, vienna or [], conditions)
    compared = int(mask.sum()) if mask is not None else gallery.pack.count
    if compared < topk:
        say(f"only {count(compared, 'mark')} pass the filters; the lists end there")
    record = new_record(
        gallery, topk, compared, vienna=vienna or [], where=where or [], factory=factory
    )
    pictures = []
    for logo in _logos(sources, gallery.pack.size):
        pictures.append(logo.pixels)
        result = find_matches(gallery, logo, min(topk, compared), mask)
        record.answers.append(result)
        _warn_of_few(logo, len(result.matches), min(topk, compared))
        if not (csv_output or json_output):
            print_result(result, logo, gallery)
    if json_output:
        say_json(record)
    elif csv_output:
        print_csv(record)
    else:
        print_closing(record)
    if html is not None:
        _write_page(html, record, pictures, gallery)


def _warn_of_few(logo: "Logo", count: int, wanted: int) -> None:
    """Say if an approximate index found fewer marks than --topk."""
    if count < wanted:
        name = safe(logo.name, 200)
        say(f"{name}: --index found {count} of {wanted} marks; a larger nprobe finds more")


def _write_page(
    path: Path, record: "SearchRecord", pictures: "Sequence[Pixels]", gallery: "Gallery"
) -> None:
    """Write the search as a page."""
    from tmssl.data.pack.reader import open_pack
    from tmssl.files import write_atomic
    from tmssl.retrieval.search.page import search_page

    pack = open_pack(gallery.pack_folder, gallery.marks)
    write_atomic(path, search_page(record, pictures, pack).encode())
    say(f"page written: {safe(path)}")


def _open_gallery(run: Run, checkpoint: str, topk: int, whiten: int, factory: str) -> "Gallery":
    """Open the gallery of a run; say how much of exact search an approximate index returns."""
    from tmssl.retrieval.search.gallery import open_gallery

    with phase_bars() as (phase, progress):
        gallery = open_gallery(
            run,
            checkpoint=checkpoint,
            whiten=whiten,
            factory=factory,
            phase=phase,
            progress=progress,
        )
    marks = gallery.pack.count
    if topk > marks:
        raise InputError(
            f"--topk is {topk} and the gallery has {count(marks, 'mark')}; ask for fewer"
        )
    if gallery.index.overlap is not None:
        overlap = f"overlap@10 with exact {gallery.index.overlap:.3f}"
        say(f"{safe(factory, 80)}: {overlap}; filters search exactly")
    return gallery


def _mask(
    gallery: "Gallery", vienna: Sequence[str], conditions: Sequence["Condition"]
) -> "Mask | None":
    """The marks that pass the filters, or None where there are none."""
    from tmssl.retrieval.search.filters import select

    if not vienna and not conditions:
        return None
    mask = select(gallery.marks, vienna, conditions)
    if not mask.any():
        raise InputError(
            f"none of {count(len(mask), 'mark')} passes the filters; widen --vienna or --where"
        )
    return mask


def _logos(paths: Sequence["LogoPath"], size: int) -> Iterator["Logo"]:
    """Every logo; a bad one that was named ends the search at once, one of a folder is left out."""
    from tmssl.retrieval.search.logos import STDIN, decode_logo, read_logo

    def read(name: str) -> "Logo":
        return (
            decode_logo(name, sys.stdin.buffer.read(), size)
            if name == STDIN
            else read_logo(name, size)
        )

    named = {path.name: read(path.name) for path in paths if not path.in_folder}
    readable = len(named)
    for path in paths:
        if not path.in_folder:
            yield named[path.name]
            continue
        try:
            logo = read(path.name)
        except InputError as error:
            say(f"left out: {error}")
        else:
            readable += 1
            yield logo
    if not readable:
        raise InputError("no image of the folder can be read; give others")
