"""`tmssl eval`: retrieval evaluation of a checkpoint, with pictures."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli.options import RUNS_DEFAULT, JsonOutput, RunPath, RunsFolder, chosen_run
from tmssl.runs.folder import open_run


def evaluate(
    run: RunPath = None,
    topk: Annotated[
        list[int],
        typer.Option(
            "--topk", "-k", min=1, metavar="K [K ...]", help="Lengths of the result list."
        ),
    ] = [10, 100],  # noqa: B006 - typer copies it and shows it in the help
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="`best`, `last`, `epoch-0010` or a path.")
    ] = "best",
    queries: Annotated[
        int, typer.Option("--queries", min=0, help="At most so many, drawn by seed; 0 is all.")
    ] = 0,
    show: Annotated[int, typer.Option("--show", min=0, help="Queries shown with matches.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of sample and bootstrap.")] = 0,
    device: Annotated[
        str, typer.Option("--device", metavar="auto|cpu|cuda", help="Where.")
    ] = "auto",
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Evaluate retrieval: figures with chance and references, and matches as pictures."""
    opened = open_run(chosen_run(run, runs_folder))
    signal.signal(signal.SIGTERM, _terminated)
    from cli.progress import progress_bar
    from cli.results import print_matches, print_table, say_data
    from tmssl.data.pack import open_pack
    from tmssl.retrieval.evaluate import evaluate as run_evaluation

    with progress_bar("embedding") as progress:
        event = run_evaluation(
            opened, checkpoint=checkpoint, topk=topk, queries=queries, seed=seed, device=device,
            progress=progress,
        )  # fmt: skip
    if json_output:
        import msgspec

        say_data(msgspec.json.encode(event).decode())
        return
    print_table(event)
    from tmssl.config import read_config

    print_matches(
        opened.path / event.matches, open_pack(Path(read_config(opened.config).data.pack)), show
    )


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """End in order on SIGTERM: files are written beside their names, so none is left half done."""
    sys.exit(143)
