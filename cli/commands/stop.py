"""`tmssl stop`: stop a trainer gracefully, with a checkpoint."""

import signal
from typing import Annotated

import typer

from cli.follow import unsaved_words
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, accept_run_option, find_run
from cli.output.console import say
from tmssl.errors import TmsslError
from tmssl.runs.folder import Run, holder, pinned
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import signal_trainer, wait_until_released
from tmssl.text import safe


@accept_run_option
def stop(
    run: RunPath = None,
    force: Annotated[
        bool, typer.Option("--force", help="Kill the trainer if it does not stop in time.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, max=1e6, metavar="X", help="Seconds to wait.")
    ] = 120.0,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Stop the trainer of a run after its current step, with a checkpoint."""
    opened = find_run(run, runs_folder)
    with pinned(opened) as held:
        _stop(held, timeout, force=force)


def _stop(opened: Run, timeout: float, *, force: bool) -> None:
    """Stop the trainer of a run, whatever happens to the folder's name meanwhile, and say what is saved.

    Raises:
        TmsslError: it did not stop, or its last state was not saved.
    """
    signal_trainer(opened, signal.SIGTERM)
    say(f"stopping {safe(opened.path)} after the current step, with a checkpoint")
    killed = False
    if not wait_until_released(opened, timeout):
        if not force:
            raise TmsslError(
                f"the trainer did not stop within {timeout:.0f} s; give a longer --timeout, "
                "or kill it with --force"
            )
        _kill(opened)
        killed = True
    history = read_history(read_journal(opened.journal) if opened.journal.exists() else [])
    unsaved = unsaved_words(history)
    if unsaved and not killed:
        raise TmsslError(f"stopped; {unsaved}; `train.log` in the run's folder says more")
    checkpoints = history.checkpoints
    if not checkpoints:
        say("stopped; no checkpoint had been written yet")
        return
    last = checkpoints[-1]
    say(f"stopped; checkpoint at epoch {last.epoch:.4g}: {safe(opened.path / last.path)}")


def _kill(run: Run) -> None:
    """Kill a trainer, unless it has stopped in the meantime."""
    if holder(run) is None:
        return
    signal_trainer(run, signal.SIGKILL)
    if not wait_until_released(run, 10):
        raise TmsslError(
            f"{safe(run.path)} is still locked 10 s after the kill; look for its process"
        )
    say("killed; the last checkpoint before the kill remains")
