"""What the monitor does to runs: evaluate, start, stop, resume, each in another process."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from textual.message import Message
from textual.screen import Screen

from tmssl.errors import ConfigError
from tmssl.runs.checkpoints import list_checkpoints
from tmssl.runs.folder import Run, open_run
from tmssl.runs.history import History
from tmssl.text import safe
from tui import subprocesses
from tui.messages import EVALUATION
from tui.runs.dialogs import EvaluateDialog, Resume, ResumeDialog, StopDialog
from tui.runs.messages import OpenRun, StartRun


class Monitor(Protocol):
    """What the actions need of the app."""

    history: History
    alive: bool
    runs_folder: Path
    quitting: threading.Event

    @property
    def run_folder(self) -> Run:
        """The watched run."""

    def report(self, text: str) -> None:
        """Show a text in the status line."""

    def start_action(self, name: str, status: str, action: Callable[[], str]) -> None:
        """Run an action in a thread, and report what it returns."""

    def push_screen(
        self, screen: Screen[Any], callback: Callable[[Any], None] | None = None
    ) -> object:
        """Show a dialog, and call with its result."""

    def post_message(self, message: Message) -> bool:
        """Send a message."""


def reports_imported(app: Monitor) -> bool:
    """Whether the run was imported from a log; then the status line says what it lacks."""
    if app.history.imported:
        app.report("imported from a log: it has no settings, checkpoints or matches")
    return app.history.imported


def ask_evaluate(app: Monitor) -> None:
    """Ask which checkpoint to evaluate, and evaluate it."""
    if reports_imported(app):
        return
    checkpoints = list_checkpoints(app.run_folder)
    if not checkpoints:
        app.report("no checkpoint yet; press k to write one while the run trains")
        return
    evaluated = frozenset(event.epoch for event in app.history.evals)
    app.push_screen(EvaluateDialog(checkpoints, evaluated), partial(_evaluate, app))


def _evaluate(app: Monitor, checkpoint: str | None) -> None:
    if checkpoint:
        action = partial(
            subprocesses.evaluate, app.run_folder, checkpoint, app.report, app.quitting
        )
        app.start_action(EVALUATION, f"evaluating checkpoint {safe(checkpoint)}", action)


def start(app: Monitor, message: StartRun) -> None:
    """Start a run, and watch it."""
    recipe, name, settings = message.recipe, message.name, message.settings
    _start(app, subprocesses.start_command(app.runs_folder, recipe, name, settings))


def _start(app: Monitor, command: list[str]) -> None:
    """Start a run by its command line, and watch it."""

    def begin() -> str:
        outcome, folder = subprocesses.start(command, app.report, app.quitting)
        if folder is not None:
            app.post_message(OpenRun(open_run(folder)))
        return outcome

    app.start_action("the start", "starting", begin)


def ask_stop(app: Monitor) -> None:
    """Ask, then stop the trainer."""
    if app.alive:
        app.push_screen(StopDialog(), partial(_stop, app))
    else:
        app.report("no trainer is running; there is nothing to stop")


def _stop(app: Monitor, confirmed: bool | None) -> None:
    if confirmed:
        action = partial(subprocesses.stop_trainer, app.run_folder, app.quitting)
        app.start_action("stopping", "stopping after this step, with a checkpoint", action)


def checkpoint(app: Monitor) -> None:
    """Ask the trainer for a checkpoint."""
    if app.alive:
        app.report(subprocesses.request_checkpoint(app.run_folder))
    else:
        app.report("no trainer is running; the last checkpoint is the newest there can be")


def ask_resume(app: Monitor) -> None:
    """Ask for the epochs, showing the planned learning rate, and resume."""
    if reports_imported(app):
        return
    if not app.history.segments:
        app.report("the run has not begun; there is nothing to resume")
        return
    try:
        dialog = ResumeDialog(app.history, app.alive, list_checkpoints(app.run_folder))
    except ConfigError as error:  # a journal of another version
        app.report(str(error))
    else:
        app.push_screen(dialog, partial(_resume, app))


def _resume(app: Monitor, answer: Resume | None) -> None:
    if answer is None:
        return
    if answer.branch:
        command = subprocesses.branch_command(
            app.run_folder, answer.settings, restart=answer.restart
        )
        _start(app, command)
        return
    status = "stopping the trainer first" if app.alive else "starting the trainer"
    run, report, quitting = app.run_folder, app.report, app.quitting
    action = partial(
        subprocesses.resume, run, answer.settings, report, quitting, restart=answer.restart
    )
    app.start_action("the resume", status, action)
