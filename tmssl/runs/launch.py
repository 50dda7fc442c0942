"""Start, watch and signal a trainer, which is a detached child process."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from io import FileIO
from pathlib import Path

from tmssl.config import read_config
from tmssl.errors import InputError, RunError, TrainingError
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run, holder
from tmssl.runs.journal import Tail
from tmssl.text import safe

_HEADER = b"--- trainer started "  # the first line of each trainer in train.log
_LOG_BYTES = 16 << 10  # of the end of the log that are read
_NAMED_ERROR = re.compile(r"tmssl(, process \d+)?: ")
_TORCHRUN_FAILED = 1  # its exit code, whatever that of its processes


def start_trainer(
    run: Run, *, cores: float = 1, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start `python -m tmssl.training RUN` in its own session, with its output in `train.log`.

    It survives the terminal; Ctrl-C and hang-ups of the caller do not reach it. With several GPUs the
    child is `torchrun`, which starts one process for each.

    Args:
        run: the run.
        cores: usable cores, which the processes of several GPUs share.
        environment: variables added to those of this process.

    Raises:
        RunError: the log cannot be written, as on a full disk.
    """
    ranks = read_config(run.config).train.gpus
    # torchrun would give each process one thread.
    threads = {"OMP_NUM_THREADS": str(max(1, int(cores) // ranks))} if ranks > 1 else {}
    with _open_log(run) as log:
        return subprocess.Popen(
            [*_command(ranks), "-m", "tmssl.training", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**threads, **os.environ, **(environment or {})},
        )


def _open_log(run: Run) -> FileIO:
    """The log of a run, with the header of a new trainer."""
    try:
        log = run.log.open("ab", buffering=0)
        with contextlib.ExitStack() as closing:
            closing.enter_context(log)
            log.write(_HEADER + time.strftime("%Y-%m-%d %H:%M:%S\n").encode())
            closing.pop_all()
    except OSError as error:
        raise RunError(
            f"cannot write {safe(run.log)}: {error.strerror}; check the disk and the folder's owner"
        ) from error
    return log


def _command(ranks: int) -> list[str]:
    """The command that runs a module: Python, or torchrun for several processes."""
    if ranks == 1:
        return [sys.executable]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    return [*torchrun, "--standalone", "--nproc-per-node", str(ranks)]


def wait_until_begun(
    run: Run, process: subprocess.Popen[bytes], segments: int, patience_s: float = 600.0
) -> None:
    """Wait until the trainer has opened a segment, beyond the `segments` that the journal had before.

    Raises:
        InputError: the trainer refused its settings or data; the message is its own.
        TrainingError: the trainer failed, or took more than `patience_s` seconds.
    """
    deadline = time.monotonic() + patience_s
    tail, opened = Tail(run.journal), 0
    while True:
        ended = process.poll() is not None
        events, restarted = tail.poll()
        opened = (0 if restarted else opened) + sum(isinstance(e, Segment) for e in events)
        if opened > segments:
            return
        if ended and not tail.behind:
            refusal = _refusal(run.log)
            if refusal and process.returncode in (InputError.exit_code, _TORCHRUN_FAILED):
                raise InputError(refusal)
            reason = refusal or last_log_line(run.log)
            raise TrainingError(f"the trainer ended at once ({reason}); see {safe(run.log)}")
        if time.monotonic() > deadline:
            raise TrainingError(
                f"the trainer did not begin in {patience_s:.0f} s; see {safe(run.log)}"
            )
        time.sleep(0.05)


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
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _LOG_BYTES))
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
    trainer = holder(run)
    if trainer is None or not trainer.pid:
        raise RunError(f"{safe(run.path)} is not being trained; there is nothing to stop")
    not_here = RunError(
        f"{safe(run.path)} has no process {trainer.pid} here; it has just ended, "
        "or it is trained on another machine: stop it there"
    )
    if not _may_hold(trainer.pid, run):
        raise not_here
    try:
        os.kill(trainer.pid, number)
    except ProcessLookupError as error:
        raise not_here from error
    except PermissionError as error:
        raise RunError(
            f"process {trainer.pid}, which trains {safe(run.path)}, belongs to another user; ask them to stop it"
        ) from error
    return trainer.pid


def _may_hold(pid: int, run: Run) -> bool:
    """Whether a process of this machine has the lock file open; True where that cannot be read.

    The lock may name a process of another machine or container, whose number another process has here.
    """
    files = Path(f"/proc/{pid}/fd")
    try:
        lock = run.lock.stat()
        opened = [path.stat() for path in files.iterdir() if path.exists()]
    except OSError:
        return True
    return any(os.path.samestat(lock, status) for status in opened)


def wait_until_released(run: Run, patience_s: float) -> bool:
    """Wait until nobody holds the run; False if somebody still does after `patience_s` seconds."""
    deadline = time.monotonic() + patience_s
    while holder(run) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
