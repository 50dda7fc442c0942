"""`tmssl eval`: retrieval evaluation of a checkpoint, with pictures."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, get_args

import typer

from cli.follow import say
from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    Compare,
    Factory,
    JsonOutput,
    RunPath,
    RunsFolder,
    TopK,
    Whiten,
    check_place,
    chosen_run,
    say_of_labels,
)
from cli.signals import outlive_terminal
from tmssl.config import Device
from tmssl.errors import ConfigError
from tmssl.runs.events import Eval
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.folder import Run, open_run
from tmssl.runs.main_figure import QUERIES, TOPK
from tmssl.text import count, safe

_IN_SHEETS = 24  # queries in a page or a sheet, unless --show asks for more


def evaluate(
    run: RunPath = None,
    topk: TopK = [*TOPK],  # noqa: B006 - typer copies it and shows it in the help
    checkpoint: CheckpointName = "best",
    queries: Annotated[
        int, typer.Option("--queries", min=0, help="At most so many, drawn by seed; 0 is all.")
    ] = QUERIES,
    show: Annotated[int, typer.Option("--show", min=0, help="Queries shown with matches.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of sample and bootstrap.")] = 0,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where.")
    ] = "auto",
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with pictures and figures.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Write a sheet of queries and matches.")
    ] = None,
    exclude_duplicates: Annotated[
        bool,
        typer.Option("--exclude-duplicates", help="Leave near-duplicates of a query out."),
    ] = False,
    compare: Compare = None,
    robust: Annotated[
        bool, typer.Option("--robustness", help="Change the queries too: inverted, rotated, cut.")
    ] = False,
    whiten: Whiten = 0,
    factory: Factory = "",
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Evaluate retrieval: figures with chance and references, and matches as pictures."""
    opened = open_run(chosen_run(run, runs_folder))
    check_device(device)
    check_place("--html", html)
    check_place("--png", png)
    outlive_terminal()
    from tmssl.retrieval.evaluation.evaluate import evaluate as run_evaluation

    say_of_labels(opened)
    with phases() as (phase, progress):
        event = run_evaluation(
            opened,
            checkpoint=checkpoint,
            topk=topk,
            queries=queries,
            seed=seed,
            device=device,
            exclude_duplicates=exclude_duplicates,
            whiten=whiten,
            factory=factory,
            compare=compare or [],
            robust=robust,
            progress=progress,
            phase=phase,
            warn=say,
        )
    if queries and event.queries == queries:
        say(
            f"at most {count(queries, 'query', 'queries')}, drawn with seed {seed}; --queries 0 takes all"
        )
    for words in cut_words(topk, event.gallery):
        say(words)
    for finding in evaluation_findings(event):
        say(f"{finding.level}: {safe(finding.text)} - {safe(finding.advice)}")
    _print(opened, event, show, seed, json_output)
    _write_sheets(opened, event, html, png, max(show, _IN_SHEETS), seed)


def _print(run: Run, event: Eval, show: int, seed: int, json_output: bool) -> None:
    """The evaluation on stdout: an object, or a table and a few queries with their matches."""
    import msgspec

    from cli.output.evaluation import print_matches, print_robustness, print_table, say_data
    from tmssl.data.pack.reader import open_pack
    from tmssl.retrieval.evaluation.matches import read_matches

    if json_output:
        say_data(msgspec.json.encode(event).decode())
        return
    print_table(event)
    if event.robustness:
        print_robustness(event)
    matches = run.path / event.matches
    print_matches(matches, open_pack(Path(read_matches(matches)[0].pack)), show, seed)


def _write_sheets(
    run: Run, event: Eval, html: Path | None, png: Path | None, show: int, seed: int
) -> None:
    """The page and the sheet, where they are asked for."""
    if html is None and png is None:
        return
    from tmssl.data.pack.reader import open_pack
    from tmssl.retrieval.evaluation.contact_sheet import write_contact_sheet
    from tmssl.retrieval.evaluation.examples import choose_examples
    from tmssl.retrieval.evaluation.matches import read_matches
    from tmssl.retrieval.evaluation.page import write_page

    header, queries = read_matches(run.path / event.matches)
    pack, chosen = open_pack(Path(header.pack)), choose_examples(queries, show, seed)
    if html is not None:
        write_page(html, run.name, event, header, chosen, pack)
        say(f"page written: {safe(html)}")
    if png is not None:
        write_contact_sheet(png, run.name, header, chosen, pack)
        say(f"sheet written: {safe(png)}")


@contextlib.contextmanager
def phases() -> Iterator[tuple[Callable[[str], None], Callable[[int, int], None]]]:
    """A function that names the phase that begins, and one to call with its (done, total)."""
    from cli.output.progress import progress_bar

    current: list[Callable[[int, int], None]] = []
    with contextlib.ExitStack() as bars:

        def phase(name: str) -> None:
            bars.close()
            current[:] = [bars.enter_context(progress_bar(name))]

        def progress(done: int, total: int) -> None:
            for update in current:
                update(done, total)

        yield phase, progress


def cut_words(topk: Sequence[int], gallery: int) -> list[str]:
    """What to say about list lengths above the number of marks that can be found."""
    others = gallery - 1
    return [
        f"--topk {k} is above the {others} marks that a query can find; its list ends there"
        for k in sorted(set(topk))
        if k > others
    ]


def check_device(device: str) -> None:
    """Refuse a device that is none of ours."""
    if device not in get_args(Device):
        raise ConfigError(
            f"--device is '{safe(device, 60)}'; give one of {', '.join(get_args(Device))}"
        )
