"""`tmssl stop`: stop a trainer gracefully, with a checkpoint."""

import signal
from typing import Annotated

import typer

from cli.follow import say
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, chosen_run
from tmssl.errors import TmsslError
from tmssl.runs.events import Checkpoint
from tmssl.runs.folder import Run, holder, open_run
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import signal_trainer, wait_until_released
from tmssl.text import safe


def stop(
    run: RunPath = None,
    force: Annotated[
        bool, typer.Option("--force", help="Kill the trainer if it has not stopped in time.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, metavar="S", help="Seconds to wait for it.")
    ] = 120.0,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Stop the trainer of a run after its step, with a checkpoint."""
    opened = open_run(chosen_run(run, runs_folder))
    signal_trainer(opened, signal.SIGTERM)
    say(f"stopping {safe(opened.path)} after this step, with a checkpoint")
    if not wait_until_released(opened, timeout):
        if not force:
            raise TmsslError(
                f"it has not stopped in {timeout:.0f} s; wait longer, or kill it with --force"
            )
        _kill(opened)
    events = read_journal(opened.journal) if opened.journal.exists() else []
    saved = [event for event in events if isinstance(event, Checkpoint)]
    if not saved:
        say("stopped; no checkpoint had been written yet")
        return
    last = saved[-1]
    say(f"stopped; checkpoint at epoch {last.epoch:.4g}: {safe(opened.path / last.path)}")


def _kill(run: Run) -> None:
    """Kill a trainer that did not stop; one that stopped this instant is left alone."""
    if holder(run) is None:
        return
    signal_trainer(run, signal.SIGKILL)
    if not wait_until_released(run, 10):
        raise TmsslError(f"{safe(run.path)} is still held 10 s after a kill; look for its process")
    say("killed; the checkpoint before is what is left")
