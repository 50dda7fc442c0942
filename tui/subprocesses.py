"""`tmssl` commands that the monitor runs in other processes, and the signals that it sends to a trainer."""

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tmssl.children import python_module
from tmssl.errors import InputError
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.launch import killed_words, signal_trainer, wait_until_released
from tmssl.text import safe

Report = Callable[[str], None]

_POLL_S = 0.1
_FOUND = 3  # exit code of `tmssl search --above` with a match
_STOP_TIMEOUT_S = 300.0  # a step on a slow machine may take long


def run_command(
    command: list[str], report: Report, quitting: threading.Event | None = None
) -> tuple[int, str, str]:
    """Run a command to its end in a session of its own, so that it outlives the monitor.

    Its output goes to unnamed files instead of pipes: a pipe would end it when the monitor is gone.

    Args:
        command: the command line.
        report: called with each line of stderr as it comes, made safe.
        quitting: set when the monitor quits; the command then continues alone.

    Returns:
        Exit code, stdout, and the last line of stderr, or that it was killed; the code is 0 for a command that continues alone.
    """
    quitting = quitting or threading.Event()
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env={**os.environ, "TMSSL_PROGRESS_S": "0.5"},
        )
        last_line, offset, ended = "", 0, False
        while not ended:
            ended = process.poll() is not None
            stderr.seek(offset)
            *lines, _ = stderr.read().split(b"\n")
            offset += sum(len(line) + 1 for line in lines)
            for line in (line.decode("utf-8", "replace").strip() for line in lines):
                if line:
                    last_line = safe(line).removeprefix("tmssl: ")
                    report(last_line)
            if not ended and quitting.wait(_POLL_S):
                return 0, "", last_line
        stdout.seek(0)
        last_line = killed_words(process.returncode) or last_line
        return process.returncode, stdout.read().decode("utf-8", "replace"), last_line


def _tmssl(*arguments: str) -> list[str]:
    """The command line of a `tmssl` command."""
    return python_module("cli", *arguments)


def _set_options(settings: tuple[str, ...]) -> list[str]:
    """`--set NAME=VALUE` for each setting."""
    return [word for setting in settings for word in ("--set", setting)]


def start_command(
    runs_folder: Path, recipe: str, name: str, settings: tuple[str, ...]
) -> list[str]:
    """`tmssl train --recipe R --name N --set data.source=D ... --runs FOLDER --detach`."""
    options = [*(("--recipe", recipe) if recipe else ()), *(("--name", name) if name else ())]
    options += [*_set_options(settings), "--runs", str(runs_folder)]
    return _tmssl("train", *options, "--detach")


def branch_command(run: Run, settings: tuple[str, ...], *, restart: bool) -> list[str]:
    """`tmssl train --branch RUN --set epochs=50 ... --runs FOLDER --detach`."""
    options = [*_set_options(settings), *(["--restart-schedule"] if restart else [])]
    folders = ["--branch", str(run.path), "--runs", str(run.path.parent)]
    return _tmssl("train", *folders, *options, "--detach")


def dry_run_command(recipe: str, settings: tuple[str, ...]) -> list[str]:
    """`tmssl train --recipe R --set data.source=D ... --dry-run`."""
    options = ["--recipe", recipe] if recipe else []
    return _tmssl("train", *options, *_set_options(settings), "--dry-run")


def dry_run(command: list[str], report: Report, quitting: threading.Event) -> list[str]:
    """What a dry run prints, made safe; or why there is none."""
    code, stdout, last_line = run_command(command, report, quitting)
    return [safe(line) for line in stdout.splitlines()] if code == 0 else [f"! {last_line}"]


def start(command: list[str], report: Report, quitting: threading.Event) -> tuple[str, Path | None]:
    """Start a run by its command line; returns a status text, and the run's folder if it started."""
    code, stdout, last_line = run_command(command, report, quitting)
    if code != 0:
        return f"not started: {last_line}", None
    return "training has begun", Path(stdout.strip().splitlines()[-1]) if stdout.strip() else None


def evaluate(run: Run, checkpoint: str, report: Report, quitting: threading.Event) -> str:
    """Evaluate a checkpoint; returns a status text."""
    options = ["--topk", "10", "100", "--checkpoint", checkpoint, "--json"]
    code, _, last_line = run_command(
        _tmssl("eval", str(run.path), *options),
        lambda line: report(f"evaluating: {line}"),
        quitting,
    )
    return "evaluated; press m for the matches" if code == 0 else f"evaluation failed: {last_line}"


def search(
    run: Run, words: Sequence[str], report: Report, quitting: threading.Event
) -> tuple[str, str]:
    """Search a run's marks with these words of `tmssl search`.

    Returns:
        The record as JSON, and what was said last; an empty record where there is none, and why.
    """
    command = _tmssl("search", "--run", str(run.path), "--json", *words)
    code, stdout, last_line = run_command(command, report, quitting)
    return (stdout if code in (0, _FOUND) else ""), last_line


def resume(
    run: Run,
    settings: tuple[str, ...],
    report: Report,
    quitting: threading.Event,
    *,
    restart: bool,
) -> str:
    """Resume a run with new settings, stopping its trainer first; returns a status text.

    `restart` begins the schedule anew at this point.
    """
    if is_alive(run):
        outcome = stop_trainer(run, quitting)
        if is_alive(run):
            return outcome
    options = [*_set_options(settings), *(["--restart-schedule"] if restart else []), "--detach"]
    code, _, last_line = run_command(
        _tmssl("train", "--resume", "--run", str(run.path), *options), report, quitting
    )
    if code != 0:
        return f"not resumed: {last_line}"
    return f"resumed with {safe(', '.join(settings))}"


def stop_trainer(run: Run, quitting: threading.Event) -> str:
    """Stop a run's trainer and wait until it has ended or the monitor quits; returns a status text."""
    try:
        signal_trainer(run, signal.SIGTERM)
    except InputError as error:
        return str(error)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while time.monotonic() < deadline and not quitting.is_set():
        if wait_until_released(run, _POLL_S):
            return "stopped, with a checkpoint; press r to resume"
    return f"it has not stopped in {_STOP_TIMEOUT_S:.0f} s; press g for the log"


def request_checkpoint(run: Run) -> str:
    """Ask a run's trainer for a checkpoint; returns a status text."""
    try:
        signal_trainer(run, signal.SIGUSR1)
    except InputError as error:
        return str(error)
    return "asked for a checkpoint; it is written after the current step"
