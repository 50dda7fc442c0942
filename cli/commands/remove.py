"""`tmssl remove`: marks leave those that a run searches."""

from typing import TYPE_CHECKING, Annotated

import typer

from cli.changing import change_and_tell
from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    DeviceName,
    JsonOutput,
    OfRun,
    RunsFolder,
    check_device,
    find_run,
)
from cli.signals import outlive_terminal
from tmssl.errors import InputError

if TYPE_CHECKING:
    from tmssl.data.pack.derived import Edit
    from tmssl.data.pack.reader import Pack


def remove(
    marks: Annotated[
        list[str] | None,
        typer.Argument(metavar="MARK", help="Ids or paths of marks, as searches show them."),
    ] = None,
    vienna: Annotated[
        list[str] | None,
        typer.Option(
            "--vienna", metavar="CODE", help="Remove marks with this Vienna code; repeatable."
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help='Remove marks that meet it: "expires<2026-11-01", "title~moon"; = != < <= > >= ~.',
        ),
    ] = None,
    run: OfRun = None,
    checkpoint: CheckpointName = "best",
    device: DeviceName = "auto",
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Remove marks from those that a run searches; what it trains on stays as it is."""
    if not (marks or vienna or where):
        raise InputError("nothing says what to remove; give ids, --where or --vienna")
    opened = find_run(run, runs_folder)
    check_device(device)
    outlive_terminal()
    from tmssl.data.pack.edits import removal
    from tmssl.retrieval.search.filters import parse_condition, select

    conditions = [parse_condition(text) for text in where or []]
    filters = [f"--vienna {code}" for code in vienna or []] + [f"--where {w}" for w in where or []]

    def choose(pack: "Pack") -> "Edit | None":
        mask = select(pack.marks, vienna or [], conditions) if vienna or conditions else None
        return removal(pack, marks or [], mask, " ".join([*(marks or []), *filters]))

    change_and_tell(opened, choose, checkpoint, device, 0, json_output)
