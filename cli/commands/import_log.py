"""`tmssl import`: turn a plain-text training log into a run that can be watched and reported."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from cli.options import RUNS_DEFAULT, RunsFolder
from cli.output.console import say, say_data
from tmssl.errors import InputError
from tmssl.runs.events import Event, Finding
from tmssl.runs.folder import Run, create_run, new_run
from tmssl.runs.import_log import MAX_BYTES, Meaning, read_plain_log
from tmssl.runs.journal import JournalWriter
from tmssl.text import count, pasted, safe


def import_log(
    log: Annotated[
        Path, typer.Argument(metavar="LOG", help="Plain-text log or report, a line per epoch.")
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Name of the run.  [default: of the file]")
    ] = "",
    keys: Annotated[
        int,
        typer.Option(
            "--keys",
            min=0,
            max=1 << 30,
            metavar="N",
            help="Keys per query; chance is then ln N.  [default: unknown]",
            show_default=False,
        ),
    ] = 0,
    steps_per_epoch: Annotated[
        int,
        typer.Option(
            "--steps-per-epoch", min=1, max=1_000_000, metavar="N", help="Steps per epoch."
        ),
    ] = 1,
    hit_chance: Annotated[
        list[str] | None,
        typer.Option(
            "--hit-chance",
            metavar="K:P",
            help="Chance level P of hit@K, such as 10:0.75; repeatable.",
        ),
    ] = None,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Import a log with lines such as `Epoch 10 complete. Avg Loss: 7.0350` as a run."""
    meaning = Meaning(keys, steps_per_epoch, dict(map(_parse_hit_chance, hit_chance or ())))
    run_name = name or log.stem
    new_run(runs_folder, run_name)  # refuses a bad name before the log is read
    events = read_plain_log(_read(log), run_name, meaning)
    run = create_run(runs_folder.resolve(), run_name, latest=False)
    _write_journal(run, events)
    for event in events:
        if isinstance(event, Finding) and event.advice:
            say(f"{event.level}: {safe(event.text)} - {safe(event.advice)}")
    say(f"imported {count(len(events), 'event')}; view them with: tmssl watch {pasted(run.path)}")
    say_data(str(run.path))


def _parse_hit_chance(text: str) -> tuple[int, float]:
    """Parse `10:0.75` into (10, 0.75)."""
    k, _, share = text.partition(":")
    try:
        pair = int(k), float(share)
    except ValueError:
        pair = 0, 0.0
    if pair[0] < 1 or not 0 < pair[1] <= 1:
        raise InputError(f"--hit-chance is '{safe(text, 60)}'; write it like 10:0.75")
    return pair


def _read(log: Path) -> str:
    """The text of a log.

    Raises:
        InputError: it cannot be read or is too large for a log.
    """
    try:
        if log.stat().st_size > MAX_BYTES:
            raise InputError(
                f"{safe(log)} is larger than {MAX_BYTES >> 20} MiB; give a file with the lines of epochs alone"
            )
        return log.read_text("utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"cannot read {safe(log)}: {error.strerror}") from error


def _write_journal(run: Run, events: list[Event]) -> None:
    """Write the journal; remove the run folder if that fails."""
    written = False
    try:
        journal = JournalWriter(run.journal)
        for event in events:
            journal.write(event)
        journal.sync()
        journal.close()
        written = True
    finally:
        if not written:
            shutil.rmtree(run.path)
