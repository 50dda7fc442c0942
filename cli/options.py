"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from tmssl.errors import InputError
from tmssl.text import safe

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
        "--index", metavar="FACTORY",
        help='A faiss factory string, "IVF1024,SQ8;nprobe=32".  [default: exact]',
    ),
]  # fmt: skip
Compare = Annotated[
    list[str] | None,
    typer.Option(
        "--compare", metavar="RUN|PATH|timm:NAME",
        help="Another encoder as a row; may be given more than once.",
    ),
]  # fmt: skip
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


def chosen_run(run: Path | None, runs_folder: Path) -> Path:
    """The run that was named, by path or by its name under the runs folder, or the latest."""
    if run is None:
        return runs_folder / "latest"
    if not run.exists() and len(run.parts) == 1 and (runs_folder / run).exists():
        return runs_folder / run
    return run
