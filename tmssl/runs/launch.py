"""Start, watch and signal a trainer, which is a detached child process."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from tmssl.children import SAFE_PATH, python_module, without_torchrun
from tmssl.claims import CLAIMED_VARIABLE, identity
from tmssl.config import read_config
from tmssl.errors import InputError, RunError, TrainingError
from tmssl.files import open_plain, open_to_append
from tmssl.locks import Holder, last_holder
from tmssl.runs.events import Axes, Segment
from tmssl.runs.folder import Run, holder
from tmssl.runs.journal import Tail
from tmssl.system import has_open, opened_process
from tmssl.text import safe

BRIEF_VARIABLE = "TMSSL_BRIEF_VIEWS_S"
"""seconds after which a trainer stops computing cached views, for a dry run; steps read blanks then"""
_HEADER = b"--- trainer started "  # the first line of each trainer in train.log
_LOG_BYTES = 16 << 10  # of the end of the log that are read
_NAMED_ERROR = re.compile(r"tmssl(, process \d+)?: ")
_PID_PATIENCE_S = 10.0  # until the trainer that holds a run has written its pid
_TORCHRUN_FAILED = 1  # its exit code, whatever that of its processes


def start_trainer(
    run: Run,
    *,
    cores: float = 1,
    folder: int | None = None,
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start `python -m tmssl.training RUN` in its own session, with its output in `train.log`.

    It survives the terminal; Ctrl-C and hang-ups of the caller do not reach it. With several GPUs the
    child is `torchrun`, which starts one process for each. Variables of another torchrun are left out.

    Args:
        run: the run.
        cores: usable cores, which the processes of several GPUs share.
        folder: the run's folder as `claimed_run` locked and opened it, to be left to the trainer.
        environment: variables added to those of this process.

    Raises:
        RunError: the log cannot be written, as on a full disk.
    """
    ranks = read_config(run.config).train.gpus
    # torchrun would give each process one thread.
    threads = {"OMP_NUM_THREADS": str(max(1, int(cores) // ranks))} if ranks > 1 else {}
    claim = {CLAIMED_VARIABLE: identity(folder)} if folder is not None else {}
    with _open_log(run) as log:
        return subprocess.Popen(
            _command(ranks, run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=() if folder is None else (folder,),
            env={
                **threads,
                **without_torchrun(os.environ),
                **SAFE_PATH,
                **claim,
                **(environment or {}),
            },
        )


def _open_log(run: Run) -> FileIO:
    """The log of a run, with the header of a new trainer."""
    try:
        log = FileIO(open_to_append(run.log), "ab")
        with contextlib.ExitStack() as closing:
            closing.enter_context(log)
            log.write(_HEADER + time.strftime("%Y-%m-%d %H:%M:%S\n").encode())
            closing.pop_all()
    except OSError as error:
        raise RunError(
            f"cannot write {safe(run.log)}: {error.strerror}; check the disk and the folder's owner"
        ) from error
    return log


def _command(ranks: int, run: Run) -> list[str]:
    """The command that trains a run: Python, or torchrun for several processes."""
    trainer = ["tmssl.training", str(run.path)]
    if ranks == 1:
        return python_module(*trainer)
    torchrun = python_module("torch.distributed.run", "--standalone")
    return [*torchrun, "--nproc-per-node", str(ranks), "-m", *trainer]


def wait_until_begun(
    run: Run,
    process: subprocess.Popen[bytes],
    segments: int,
    patience_s: float = 600.0,
    fitting: Callable[[Axes], None] = lambda axes: None,
) -> None:
    """Wait until the trainer has opened a segment, beyond the `segments` that the journal had before.

    Args:
        run: the run.
        process: its trainer.
        segments: number of those that the journal had before.
        patience_s: without a sign of the trainer.
        fitting: called with each event on the fit of the whitening.

    Raises:
        InputError: the trainer refused its settings or data; the message is its own.
        TrainingError: the trainer failed, or gave no sign for `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    tail, opened = Tail(run.journal), 0
    while True:
        ended = process.poll() is not None
        events, restarted = tail.poll()
        for axes in (event for event in events if isinstance(event, Axes)):
            deadline = time.monotonic() + patience_s
            if axes.segment == segments:
                fitting(axes)
        opened = (0 if restarted else opened) + sum(isinstance(e, Segment) for e in events)
        if opened > segments and (ended or _holds(process.pid, run)):
            return
        if ended and not tail.behind:
            refusal = _refusal(run.log)
            if refusal and process.returncode in (InputError.exit_code, _TORCHRUN_FAILED):
                raise InputError(refusal)
            reason = killed_words(process.returncode) or refusal or last_log_line(run.log)
            raise TrainingError(f"the trainer ended at once ({reason})")
        if time.monotonic() > deadline:
            raise TrainingError(
                f"the trainer did not begin in {patience_s:.0f} s; see {safe(run.log)}"
            )
        time.sleep(0.05)


def _holds(pid: int, run: Run) -> bool:
    """Whether the lock of a run was last taken by a process, or by a child of it, as of torchrun."""
    last = last_holder(run.lock)
    return pid in (last.pid, last.parent)


def killed_words(code: int | None) -> str:
    """`it was killed by signal 9 (SIGKILL)` for the exit code of a child; empty for any other end."""
    if code is None or code >= 0:
        return ""
    try:
        name = signal.Signals(-code).name
    except ValueError:  # a real-time signal
        name = "a real-time signal"
    bus = ": a file that it read was cut short, or its disk fails" * (-code == signal.SIGBUS)
    return f"it was killed by signal {-code} ({name}){bus}"


def log_tail(log: Path, count: int = 10) -> list[str]:
    """The last lines that the newest trainer printed, made safe to show."""
    return [safe(line) for line in _log_lines(log)[-count:]]


def last_log_line(log: Path) -> str:
    """The last line a trainer printed, made safe to show."""
    lines = _log_lines(log)
    return safe(lines[-1]) if lines else "it printed nothing"


def _refusal(log: Path) -> str:
    """The first error that the newest trainer named, or an empty string.

    Later lines are of torchrun, or of processes that ended because another one refused.
    """
    named = [line for line in _log_lines(log) if _NAMED_ERROR.match(line)]
    return safe(_NAMED_ERROR.sub("", named[0])) if named else ""


def _log_lines(log: Path) -> list[str]:
    """The last lines that the newest trainer printed."""
    try:
        with os.fdopen(open_plain(log, os.O_RDONLY), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LOG_BYTES))
            _, header, printed = file.read().rpartition(_HEADER)
    except OSError:
        return []
    lines = printed.decode("utf-8", "replace").strip().splitlines()
    return lines[1:] if header else lines


def signal_trainer(run: Run, number: signal.Signals) -> int:
    """Send a signal to the trainer of a run, and return its pid.

    Raises:
        RunError: nobody trains this run, or not on this machine, or another user does.
    """
    trainer = _named_holder(run)
    if trainer is None:
        raise RunError(f"{safe(run.path)} is not being trained; there is nothing to stop")
    if not trainer.pid:
        raise RunError(
            f"the lock of {safe(run.path)} does not say which process trains it; a trainer writes it anew "
            "within seconds: try again"
        )
    not_here = RunError(
        f"{safe(run.path)} has no process {trainer.pid} here; it has just ended, "
        "or it is trained on another machine: stop it there"
    )
    try:
        with opened_process(trainer.pid) as send:
            if not has_open(trainer.pid, run.lock):
                raise not_here
            send(number)
    except ProcessLookupError as error:
        raise not_here from error
    except PermissionError as error:
        raise RunError(
            f"process {trainer.pid}, which trains {safe(run.path)}, belongs to another user; ask them to stop it"
        ) from error
    return trainer.pid


def _named_holder(run: Run) -> Holder | None:
    """The trainer that holds a run; waits a while for its pid.

    A trainer that begins writes it within seconds, and torchrun holds the folder until all its processes
    are gone.
    """
    deadline = time.monotonic() + _PID_PATIENCE_S
    while True:
        trainer = holder(run)
        if trainer is None or trainer.pid or time.monotonic() > deadline:
            return trainer
        time.sleep(0.05)


def wait_until_released(run: Run, patience_s: float) -> bool:
    """Wait until nobody holds the run; False if somebody still does after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while holder(run) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
