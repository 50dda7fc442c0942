"""`tmssl eval`: retrieval evaluation of a checkpoint, with pictures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.options import (
    MOST,
    RUNS_DEFAULT,
    CheckpointName,
    DeviceName,
    Factory,
    JsonOutput,
    Pictures,
    RunPath,
    RunsFolder,
    Views,
    Whiten,
    accept_run_option,
    check_device,
    check_folder_of,
    find_run,
    refuse_beside_views,
)
from cli.output.console import say, say_json
from cli.output.pictures import PictureStyle, picture_style
from cli.output.progress import phase_bars
from cli.packing import warn_of_new_labels
from cli.signals import outlive_terminal
from tmssl.runs.events import Eval
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.folder import Run
from tmssl.runs.main_figure import QUERIES, TOPK
from tmssl.runs.workspace import workspace
from tmssl.text import count, safe

_SHEET_QUERIES = 24  # queries of a page or sheet, unless --show asks for more


@accept_run_option
def evaluate(
    run: RunPath = None,
    topk: Annotated[
        list[int],
        typer.Option(
            "-k", "--topk", min=1, max=MOST, metavar="N...", help="Lengths of the result list."
        ),
    ] = [*TOPK],  # noqa: B006 - typer copies it and shows it in the help
    checkpoint: CheckpointName = "best",
    queries: Annotated[
        int,
        typer.Option(
            "--queries", min=0, max=MOST, metavar="N", help="Queries to draw at most; 0 is all."
        ),
    ] = QUERIES,
    show: Annotated[
        int,
        typer.Option(
            "--show", min=0, max=MOST, metavar="N", help="Queries to show with their matches."
        ),
    ] = 3,
    device: DeviceName = "auto",
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page with pictures and figures."),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="FILE", help="Write a sheet of queries and matches."),
    ] = None,
    exclude_duplicates: Annotated[
        bool, typer.Option("--exclude-duplicates", help="Leave near-duplicates of a query out.")
    ] = False,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="RUN|FILE|timm:NAME",
            help="Compare with another encoder; repeatable.",
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Also search with changed queries: inverted, rotated..."),
    ] = False,
    features: Annotated[
        bool,
        typer.Option("--features", help="Only compare the model's stages and pooled features."),
    ] = False,
    whiten: Whiten = 0,
    views: Views = 1,
    factory: Factory = "",
    pictures: Pictures = "auto",
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Evaluate retrieval: figures beside chance and references, and matches as pictures."""
    opened = find_run(run, runs_folder)
    check_device(device)
    refuse_beside_views(views, whiten=whiten)
    check_folder_of("--html", html)
    check_folder_of("--png", png)
    style = picture_style(pictures)
    outlive_terminal()
    if features:
        unused = {
            "--html": html,
            "--png": png,
            "--index": factory,
            "--robustness": robustness,
            "--views": views > 1,
            "--exclude-duplicates": exclude_duplicates,
        }
        for option in [option for option, value in unused.items() if value]:
            say(f"--features makes no use of {option}")
        _compare_features(
            opened, checkpoint, topk, queries, device, compare or [], whiten, json_output
        )
        return
    from tmssl.retrieval.evaluation.evaluate import evaluate as run_evaluation

    warn_of_new_labels(opened)
    with workspace(opened, say) as kept:
        with phase_bars() as (phase, progress):
            event = run_evaluation(
                kept,
                checkpoint=checkpoint,
                topk=topk,
                queries=queries,
                device=device,
                exclude_duplicates=exclude_duplicates,
                whiten=whiten,
                factory=factory,
                views=views,
                compare=compare or [],
                robust=robustness,
                progress=progress,
                phase=phase,
                warn=say,
            )
        if queries and event.queries == queries:
            say(f"a random sample of {count(queries, 'query', 'queries')}; --queries 0 takes all")
        for line in truncation_lines(topk, event.gallery):
            say(line)
        for finding in evaluation_findings(event):
            say(f"{finding.level}: {safe(finding.text)} - {safe(finding.advice)}")
        _write_sheets(kept, event, html, png, max(show, _SHEET_QUERIES))
        _print(kept, event, show, json_output, style)  # last, as nobody may read it


def _compare_features(
    run: Run,
    checkpoint: str,
    topk: Sequence[int],
    queries: int,
    device: str,
    compare: Sequence[str],
    whiten: int,
    json_output: bool,
) -> None:
    """Print which features of the model find most."""
    from cli.output.features import print_features
    from tmssl.retrieval.evaluation.stage_features import compare_features

    with phase_bars() as (phase, progress):
        table = compare_features(
            run,
            checkpoint=checkpoint,
            compare=compare,
            topk=topk,
            queries=queries,
            device=device,
            whiten=whiten,
            progress=progress,
            phase=phase,
            warn=say,
        )
    if json_output:
        say_json(table)
    else:
        print_features(table)


def _print(run: Run, event: Eval, show: int, json_output: bool, style: PictureStyle | None) -> None:
    """Print the evaluation: as JSON, or as a table and a few queries with their matches."""
    from cli.output.evaluation import print_matches, print_robustness, print_table
    from tmssl.data.pack.reader import open_pack
    from tmssl.retrieval.evaluation.matches import read_matches

    if json_output:
        say_json(event)
        return
    print_table(event)
    if event.robustness:
        print_robustness(event)
    matches = run.file(event.matches)
    pack = open_pack(Path(read_matches(matches)[0].pack))
    print_matches(matches, pack, show, style=style)


def _write_sheets(run: Run, event: Eval, html: Path | None, png: Path | None, show: int) -> None:
    """Write the page and the sheet, if they are asked for."""
    if html is None and png is None:
        return
    from tmssl.data.pack.reader import open_pack
    from tmssl.retrieval.evaluation.contact_sheet import write_contact_sheet
    from tmssl.retrieval.evaluation.examples import choose_examples
    from tmssl.retrieval.evaluation.matches import read_matches
    from tmssl.retrieval.evaluation.page import write_page

    header, queries = read_matches(run.file(event.matches))
    pack, chosen = open_pack(Path(header.pack)), choose_examples(queries, show)
    if html is not None:
        write_page(html, run.name, event, header, chosen, pack)
        say(f"page written: {safe(html)}")
    if png is not None:
        write_contact_sheet(png, run.name, header, chosen, pack)
        say(f"sheet written: {safe(png)}")


def truncation_lines(topk: Sequence[int], gallery: int) -> list[str]:
    """A line for each list length above the number of marks that a query can find."""
    others = gallery - 1
    return [
        f"--topk {k} is above the {others} marks that a query can find; its list ends there"
        for k in sorted(set(topk))
        if k > others
    ]
