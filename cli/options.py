"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from cli.follow import say
from tmssl.config import read_config
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tmssl.text import pasted, safe

RunsFolder = Annotated[
    Path, typer.Option("--runs", envvar="TMSSL_RUNS", help="Folder that holds the runs.")
]
RunPath = Annotated[
    Path | None, typer.Argument(metavar="[RUN]", help="A run folder.  [default: RUNS/latest]")
]
CheckpointName = Annotated[
    str, typer.Option("--checkpoint", help="`best`, `last`, `epoch-0010` or a path.")
]
TopK = Annotated[
    list[int],
    typer.Option("--topk", "-k", min=1, metavar="K [K ...]", help="Lengths of the result list."),
]
Whiten = Annotated[
    int, typer.Option("--whiten", min=0, metavar="N", help="PCA-whiten vectors, N features kept.")
]
Factory = Annotated[
    str,
    typer.Option(
        "--index",
        metavar="FACTORY",
        help='A faiss factory string, "IVF1024,SQ8;nprobe=32".  [default: exact]',
    ),
]
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare",
        metavar="RUN|PATH|timm:NAME",
        help="Another encoder as a row; may be given more than once.",
    ),
]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

RUNS_DEFAULT = Path("runs")


def check_place(option: str, file: Path | None) -> None:
    """Refuse a file whose folder is missing, before the work whose result it is to hold.

    Raises:
        InputError: there is no such folder.
    """
    if file is not None and not file.resolve().parent.is_dir():
        raise InputError(
            f"there is no folder for {option} {safe(file)}; make {safe(file.parent)} first"
        )


def say_of_labels(run: Run) -> None:
    """Say that a run's labels were changed since it began, which it does not follow."""
    from tmssl.data.pack.info import labels_changed

    if not run.config.is_file():
        return
    data = read_config(run.config).data
    if data.source and labels_changed(Path(data.source), Path(data.pack)):
        say(
            f"the labels at {safe(data.source)} were written after this run packed them, and it keeps "
            f"those it began with; a new run takes the new ones: tmssl train --data "
            f"{pasted(data.source)} --init {pasted(run.path)}"
        )


def chosen_run(run: Path | None, runs_folder: Path) -> Path:
    """The run that was named, by path or by its name under the runs folder, or the latest."""
    if run is None:
        return runs_folder / "latest"
    if not run.exists() and len(run.parts) == 1 and (runs_folder / run).exists():
        return runs_folder / run
    return run
