"""Heavy work as children of the monitor's machine, never of its life."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tmssl.errors import InputError
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.launch import signal_trainer, wait_until_released
from tmssl.text import safe

Say = Callable[[str], None]

_LOOK_S = 0.1
_STOP_S = 300.0  # a step on a slow machine may take long


def command(*words: str) -> list[str]:
    """The command line of a tmssl command."""
    return [sys.executable, "-m", "cli", *words]


def run_child(
    words: list[str], say: Say, left: threading.Event | None = None
) -> tuple[int, str, str]:
    """Run a child to its end in a session of its own; it outlives a monitor that is left.

    Its output goes to files without a name, not through pipes: a pipe whose reader is gone would end it.

    Args:
        words: its command line.
        say: told each line of its stderr as it comes, made safe.
        left: set when the monitor is left; the child then goes on alone.

    Returns:
        Exit code, stdout, and the last line of stderr; code 0 for one that goes on alone.
    """
    left = left or threading.Event()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=told,
            start_new_session=True,
            env={**os.environ, "TMSSL_PROGRESS_S": "0.5"},
        )
        last, place, ended = "", 0, False
        while not ended:
            ended = child.poll() is not None
            told.seek(place)
            *lines, _ = told.read().split(b"\n")
            place += sum(len(line) + 1 for line in lines)
            for line in (line.decode("utf-8", "replace").strip() for line in lines):
                if line:
                    last = safe(line).removeprefix("tmssl: ")
                    say(last)
            if not ended and left.wait(_LOOK_S):
                return 0, "", last
        out.seek(0)
        return child.returncode, out.read().decode("utf-8", "replace"), last


def evaluate_command(run: Path, checkpoint: str = "last") -> list[str]:
    """`tmssl eval RUN --topk 10 100 --checkpoint last --json`."""
    return command("eval", str(run), "--topk", "10", "100", "--checkpoint", checkpoint, "--json")


def resume_command(run: Path, settings: tuple[str, ...], restart: bool = False) -> list[str]:
    """`tmssl train --resume --run RUN --set epochs=N ... --detach`."""
    given = [word for setting in settings for word in ("--set", setting)]
    again = ["--restart-schedule"] if restart else []
    return command("train", "--resume", "--run", str(run), *given, *again, "--detach")


def start_command(
    runs_folder: Path, recipe: str, name: str, settings: tuple[str, ...]
) -> list[str]:
    """`tmssl train --recipe R --name N --set data.source=D ... --runs FOLDER --detach`."""
    given = [word for setting in settings for word in ("--set", setting)]
    named = [*(("--recipe", recipe) if recipe else ()), *(("--name", name) if name else ())]
    return command("train", *named, *given, "--runs", str(runs_folder), "--detach")


def evaluate(run: Run, checkpoint: str, say: Say, left: threading.Event) -> str:
    """Evaluate a checkpoint, and say what became of it; see `run_child`."""
    code, _, last = run_child(
        evaluate_command(run.path, checkpoint), lambda line: say(f"evaluating: {line}"), left
    )
    return "evaluated; press m for the matches" if code == 0 else f"evaluation failed: {last}"


def start(words: list[str], say: Say, left: threading.Event) -> tuple[str, Path | None]:
    """Start a run by its command line, and say what became of it and where the run is; see `run_child`."""
    code, told, last = run_child(words, say, left)
    if code != 0:
        return f"not started: {last}", None
    return "training has begun", Path(told.strip().splitlines()[-1]) if told.strip() else None


def resume(
    run: Run, settings: tuple[str, ...], say: Say, left: threading.Event, *, restart: bool
) -> str:
    """Let a run go on with new settings, its trainer stopped first, and say what became of it; see `run_child`."""
    if is_alive(run):
        words = stop_trainer(run, left)
        if is_alive(run):
            return words
    code, _, last = run_child(resume_command(run.path, settings, restart), say, left)
    return f"going on with {safe(', '.join(settings))}" if code == 0 else f"not resumed: {last}"


def stop_trainer(run: Run, left: threading.Event) -> str:
    """Stop a run's trainer, wait for it unless the monitor is left, and say what became of it."""
    try:
        signal_trainer(run, signal.SIGTERM)
    except InputError as error:
        return str(error)
    until = time.monotonic() + _STOP_S
    while time.monotonic() < until and not left.is_set():
        if wait_until_released(run, _LOOK_S):
            return "stopped, with a checkpoint; press r to go on"
    return f"it has not stopped in {_STOP_S:.0f} s; see the log with g"


def ask_for_checkpoint(run: Run) -> str:
    """Ask a run's trainer for a checkpoint, and say what follows."""
    try:
        signal_trainer(run, signal.SIGUSR1)
    except InputError as error:
        return str(error)
    return "asked for a checkpoint; it follows the step on its way"
