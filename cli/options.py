"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

RunsFolder = Annotated[
    Path, typer.Option("--runs", envvar="TMSSL_RUNS", help="Folder that holds the runs.")
]
RunPath = Annotated[
    Path | None, typer.Argument(metavar="[RUN]", help="A run folder.  [default: RUNS/latest]")
]
JsonOutput = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]

RUNS_DEFAULT = Path("runs")


def chosen_run(run: Path | None, runs_folder: Path) -> Path:
    """The run that was named, by path or by its name under the runs folder, or the latest."""
    if run is None:
        return runs_folder / "latest"
    if not run.exists() and len(run.parts) == 1 and (runs_folder / run).exists():
        return runs_folder / run
    return run
