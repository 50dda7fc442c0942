"""`tmssl add`: new marks join those that a run searches."""

from typing import TYPE_CHECKING

from cli.changing import change_and_tell
from cli.options import (
    RUNS_DEFAULT,
    CheckpointName,
    ClassFolders,
    Columns,
    DeviceName,
    ImagesUnder,
    JsonOutput,
    OfRun,
    RunsFolder,
    Sources,
    Workers,
    check_device,
    find_run,
)
from cli.output.console import say
from cli.signals import outlive_terminal
from tmssl.data.sources.specification import join_sources
from tmssl.text import count, safe

if TYPE_CHECKING:
    from tmssl.data.pack.derived import Edit
    from tmssl.data.pack.edits import Addition
    from tmssl.data.pack.reader import Pack


def add(
    sources: Sources,
    run: OfRun = None,
    checkpoint: CheckpointName = "best",
    images_under: ImagesUnder = None,
    columns: Columns = "",
    folders: ClassFolders = "",
    device: DeviceName = "auto",
    workers: Workers = 0,
    json_output: JsonOutput = False,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Add marks to those that a run searches; what it trains on stays as it is."""
    opened = find_run(run, runs_folder)
    check_device(device)
    outlive_terminal()
    from tmssl.data.pack.edits import addition
    from tmssl.data.sources.catalogue import read_catalogue

    source = read_catalogue(join_sources(sources), images_under, columns=columns, folders=folders)
    for line in source.report.lines():
        say(line)

    def choose(pack: "Pack") -> "Edit | None":
        found = addition(pack, source)
        _tell(found)
        return found.edit

    change_and_tell(opened, choose, checkpoint, device, workers, json_output)


def _tell(found: "Addition") -> None:
    """Say what becomes of the marks of a source."""
    if found.there:
        say(f"  {count(found.there, 'mark')} there already")
    if found.other_labels:
        say(
            f"  {count(len(found.other_labels), 'mark')} of these with other labels, which are not taken, such as "
            f"{safe(found.other_labels[0], 80)}; remove these marks and add them again"
        )
    if found.same_id:
        say(
            f"  {count(len(found.same_id), 'image')} left out, as a mark with the same id is there, such as "
            f"{safe(found.same_id[0], 80)}; remove that mark first"
        )
    if found.back:
        say(f"  {count(found.back, 'mark')} that had been removed before")
