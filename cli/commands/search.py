"""`tmssl search`: which registered marks resemble a logo."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import (
    MOST,
    RUNS_DEFAULT,
    CheckpointName,
    Factory,
    JsonOutput,
    Pictures,
    RunsFolder,
    Views,
    Whiten,
    check_folder_of,
    find_run,
    refuse_beside_views,
)
from cli.output.console import say, say_json
from cli.output.progress import phase_bars
from cli.qdrant import with_engine
from cli.signals import end_in_order
from cli.words import comparison_of, read_gallery
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.runs.workspace import workspace
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.retrieval.search.combined import Comparison
    from tmssl.retrieval.search.crop import Crop
    from tmssl.retrieval.search.filters import Condition
    from tmssl.retrieval.search.gallery import Gallery
    from tmssl.retrieval.search.logos import Logo, LogoPath
    from tmssl.retrieval.search.results import SearchRecord, SearchResult
    from tmssl.types import Mask, Pixels

_TOPK = 10  # marks, unless --topk asks for others
_MOST_ABOVE = 100  # of --above, likewise
_FOUND = 3  # exit code for a job that is to tell somebody


def search(
    logos: Annotated[
        list[str] | None,
        typer.Argument(metavar="LOGO", help="Images, folders of images, or `-` for stdin."),
    ] = None,
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
        int | None,
        typer.Option(
            "-k",
            "--topk",
            min=1,
            max=MOST,
            metavar="N",
            help=f"Marks to find for each logo.  [default: {_TOPK}, or all of fewer]",
        ),
    ] = None,
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
    crop: Annotated[
        list[str] | None,
        typer.Option(
            "--crop",
            metavar="X,Y,W,H",
            help="Search for this rectangle of each logo, in pixels or with %; repeatable.",
        ),
    ] = None,
    text: Annotated[
        str,
        typer.Option(
            "--text",
            metavar="WORDS",
            help="Search for this text among those of the marks, alone or beside each logo.",
        ),
    ] = "",
    weights: Annotated[
        str,
        typer.Option(
            "--weights",
            metavar="KIND=W,...",
            help="Rank by the weighted mean of picture, text (the logo's own without --text) and codes.  "
            "[default: picture alone; with --text or --codes picture=1,text=0.3,codes=0.2]",
        ),
    ] = "",
    codes: Annotated[
        list[str] | None,
        typer.Option(
            "--codes", metavar="CODE", help="A Vienna code of the logo, if known; repeatable."
        ),
    ] = None,
    lettering: Annotated[
        bool,
        typer.Option("--lettering", help="First read the words in the marks' pictures, once."),
    ] = False,
    above: Annotated[
        float | None,
        typer.Option(
            "--above",
            min=-1.0,
            max=1.0,
            metavar="S",
            help="List only marks of at least this similarity, and end with code 3 if there are any.",
        ),
    ] = None,
    checkpoint: CheckpointName = "best",
    factory: Factory = "",
    engine: Annotated[
        str,
        typer.Option(
            "--engine",
            metavar="URL/NAME",
            help="Search the collection of a Qdrant server, as `export --to qdrant` made it.",
        ),
    ] = "",
    whiten: Whiten = 0,
    views: Views = 1,
    csv_output: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with pictures and links."),
    ] = None,
    pictures: Pictures = "auto",
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Find the marks that resemble a logo or a text; nothing leaves the machine, but with --engine a vector."""
    _give_one({"--csv": csv_output, "--json": json_output}, "write to stdout")
    _check_vectors(
        engine,
        {"--text": text, "--weights": weights, "--codes": codes},
        views=views,
        whiten=whiten,
        factory=factory,
    )
    end_in_order()
    check_folder_of("--html", html)
    from cli.output.pictures import picture_style
    from cli.output.search import print_closing, print_csv, print_result
    from tmssl.retrieval.search.crop import parse_crop
    from tmssl.retrieval.search.filters import parse_condition
    from tmssl.retrieval.search.logos import find_logos
    from tmssl.retrieval.search.search import new_record
    from tmssl.retrieval.search.weights import choose_weights

    style = picture_style(pictures)
    conditions = [parse_condition(text) for text in where or []]
    crops = [parse_crop(text) for text in crop or []]
    sources = find_logos(_wanted(logos, text, crop))
    weighed = choose_weights(weights, picture=bool(logos), text=bool(text), codes=bool(codes))
    opened = find_run(run, runs_folder)
    with workspace(opened, say) as kept:
        gallery = _open_gallery(kept, checkpoint, whiten, factory, views, read=lettering)
        topk = _list_length(topk, gallery.pack.count, all_above=above is not None)
        mask = _mask(gallery, vienna or [], conditions, may_be_empty=above is not None)
        compared = int(mask.sum()) if mask is not None else gallery.pack.count
        if above is None:
            _say_short(topk, compared)
        if engine:
            gallery = with_engine(gallery, engine, vienna or [], conditions)
        record = new_record(
            gallery,
            topk,
            compared,
            vienna=vienna or [],
            where=where or [],
            factory=factory,
            engine=engine,
            above=above,
            weights=weighed,
        )
        shown = []
        read = _logos(sources, gallery.pack.size, crops)
        comparison = weighed and comparison_of(gallery, text, codes or [], weighed)
        for logo, result in _answers(gallery, read, min(topk, compared), mask, above, comparison):
            shown.append(logo.pixels if logo else None)
            record.answers.append(result)
            if result.matches and not (csv_output or json_output):
                print_result(result, logo, gallery, style)
        (say_json if json_output else print_csv if csv_output else print_closing)(record)
        if html is not None:
            _write_page(html, record, shown, gallery)
    if above is not None and record.worst_first():
        raise typer.Exit(_FOUND)


def _check_vectors(
    engine: str, options: Mapping[str, object], *, views: int, whiten: int, factory: str
) -> None:
    """Refuse what an engine elsewhere does not search by, and what is not done with several views.

    Raises:
        InputError: both are given.
    """
    for name, given in {**options, "--index": factory}.items():
        _give_one({"--engine": engine, name: given}, "say what is searched")
    refuse_beside_views(views, whiten=whiten)


def _give_one(options: Mapping[str, object], purpose: str) -> None:
    """Refuse two options that exclude each other."""
    if all(options.values()):
        raise InputError(f"{' and '.join(options)} both {purpose}; give one of them")


def _wanted(logos: Sequence[str] | None, text: str, crop: Sequence[str] | None) -> Sequence[str]:
    """The logos that were named; none where a text alone is searched for.

    Raises:
        InputError: neither was given, or rectangles of no logo.
    """
    if not logos and crop:
        raise InputError("--crop cuts a logo; give an image")
    if not logos and not text:
        raise InputError("there is nothing to search for; give an image, or a text with --text")
    return logos or []


def _say_short(topk: int, compared: int) -> None:
    """Say where filters leave fewer marks than a list is to have."""
    if compared < topk:
        say(f"only {count(compared, 'mark')} pass the filters; the lists end there")


def _answers(
    gallery: "Gallery",
    logos: "Iterator[Logo | None]",
    wanted: int,
    mask: "Mask | None",
    above: float | None,
    comparison: "Comparison | None",
) -> "Iterator[tuple[Logo | None, SearchResult]]":
    """Each logo with its matches, None for a text alone; a list that ended too early is told."""
    from tmssl.retrieval.search.search import asked, find_matches, risks

    for logo in logos:
        if not wanted:  # no mark passes the filters
            yield logo, asked(logo, comparison.text if comparison else "")
            continue
        result = find_matches(gallery, logo, wanted, mask, comparison)
        found, name = len(result.matches), safe(result.source(), 200)
        if found < wanted:
            elsewhere = gallery.index.engine is not None
            advice = (
                "export --to qdrant uploads the rest" if elsewhere else "a larger nprobe finds more"
            )
            option = "--engine" if elsewhere else "--index"
            say(f"{name}: {option} found {found} of {wanted} marks; {advice}")
        if above is not None:
            result = risks(result, above)
            if len(result.matches) == found < gallery.pack.count:
                say(
                    f"{name}: more than {found} marks may be that similar; --topk lists more of them"
                )
        yield logo, result


def _write_page(
    path: Path, record: "SearchRecord", pictures: "Sequence[Pixels | None]", gallery: "Gallery"
) -> None:
    """Write the search as a page."""
    from tmssl.data.pack.reader import open_pack
    from tmssl.files import write_atomic
    from tmssl.retrieval.search.page import search_page

    pack = open_pack(gallery.pack_folder, gallery.marks)
    write_atomic(path, search_page(record, pictures, pack).encode())
    say(f"page written: {safe(path)}")


def _list_length(topk: int | None, marks: int, *, all_above: bool) -> int:
    """The length of the lists; the default ends where the gallery does, and says so.

    `all_above` says that the similarity ends them, so that the default is long.

    Raises:
        InputError: a length that was given is above the marks of the gallery.
    """
    if topk is None and all_above:
        return min(_MOST_ABOVE, marks)
    if topk is None and marks < _TOPK:
        say(f"the gallery has {count(marks, 'mark')}, so each list has that many")
        return marks
    if topk is not None and topk > marks:
        raise InputError(
            f"--topk is {topk} and the gallery has {count(marks, 'mark')}; ask for fewer"
        )
    return topk or _TOPK


def _open_gallery(
    run: Run, checkpoint: str, whiten: int, factory: str, views: int, *, read: bool
) -> "Gallery":
    """Open a run's gallery, first reading the lettering if asked to; say an approximate index's overlap."""
    from tmssl.retrieval.search.gallery import open_gallery

    if read:
        read_gallery(run, checkpoint)
    with phase_bars() as (phase, progress):
        gallery = open_gallery(
            run,
            checkpoint=checkpoint,
            whiten=whiten,
            factory=factory,
            views=views,
            phase=phase,
            progress=progress,
        )
    if gallery.index.overlap is not None:
        overlap = f"overlap@10 with exact {gallery.index.overlap:.3f}"
        say(f"{safe(factory, 80)}: {overlap}; filters search exactly")
    return gallery


def _mask(
    gallery: "Gallery",
    vienna: Sequence[str],
    conditions: Sequence["Condition"],
    *,
    may_be_empty: bool,
) -> "Mask | None":
    """The marks that pass the filters, or None where there are no filters.

    Raises:
        InputError: no mark passes, where that is not an answer of its own.
    """
    from tmssl.retrieval.search.filters import select

    if not vienna and not conditions:
        return None
    mask = select(gallery.marks, vienna, conditions)
    if not mask.any() and not may_be_empty:
        raise InputError(
            f"none of {count(len(mask), 'mark')} passes the filters; widen --vienna or --where"
        )
    return mask


def _logos(
    paths: Sequence["LogoPath"], size: int, crops: Sequence["Crop"]
) -> Iterator["Logo | None"]:
    """Every logo, or each rectangle of it, or None where no path is given, so that a text alone is searched for.

    A bad one that was named ends the search at once, one of a folder is left out.
    """
    from tmssl.retrieval.search.logos import STDIN, decode_crops, read_crops

    parts: Sequence[Crop | None] = crops or [None]

    def read(name: str) -> "list[Logo]":
        if name == STDIN:
            return decode_crops(name, sys.stdin.buffer.read(), size, parts)
        return read_crops(name, size, parts)

    if not paths:
        yield None
        return
    named = {path.name: read(path.name) for path in paths if not path.in_folder}
    readable = len(named)
    for path in paths:
        if not path.in_folder:
            yield from named[path.name]
            continue
        try:
            found = read(path.name)
        except InputError as error:
            say(f"left out: {error}")
        else:
            readable += 1
            yield from found
    if not readable:
        raise InputError("no image of the folder can be read; give others")
