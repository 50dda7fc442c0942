"""Start, signal and stop a trainer as a detached child."""

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

_HEADER = b"--- trainer started "  # begins each life in train.log
_NAMED = re.compile(r"tmssl(, process \d+)?: ")
_TORCHRUN_FAILED = 1  # its exit code whatever a process of it exits with


def start_trainer(run: Run, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start `python -m tmssl.training RUN` in a session of its own, its output in `train.log`.

    It survives the terminal, and neither Ctrl-C nor a hang-up of the caller reaches it. With several
    GPUs the child is `torchrun`, which starts one such process for each.

    Raises:
        RunError: the log cannot be written, as on a full disk.
    """
    ranks = read_config(run.config).train.gpus
    # torchrun would give each process one thread; they share the cores instead.
    threads = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))} if ranks > 1 else {}
    with _begun_log(run) as log:
        return subprocess.Popen(
            [*_command(ranks), "-m", "tmssl.training", str(run.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**threads, **os.environ, **(environment or {})},
        )


def _begun_log(run: Run) -> FileIO:
    """The log of a run, opened where a new life begins."""
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
    """What starts a module: Python itself, or torchrun for several processes."""
    if ranks == 1:
        return [sys.executable]
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    return [*torchrun, "--standalone", "--nproc-per-node", str(ranks)]


def wait_until_begun(
    run: Run, process: subprocess.Popen[bytes], segments: int, patience_s: float = 600.0
) -> None:
    """Wait until the child has opened a segment beyond the `segments` that the journal had.

    Raises:
        InputError: it refused its settings or data; the last line of its log says why.
        TrainingError: it broke, or took too long.
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
            said = refusal or last_log_line(run.log)
            raise TrainingError(f"the trainer ended at once ({said}); see {safe(run.log)}")
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
    """The first error that the trainer named in its present life, or nothing.

    torchrun prints more after it, and so does a process whose fellow refused to begin.
    """
    named = [line for line in _log_lines(log) if _NAMED.match(line)]
    return safe(_NAMED.sub("", named[0])) if named else ""


def _log_lines(log: Path) -> list[str]:
    """What the trainer printed in its present life, the last 16 KiB of it."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - (16 << 10)))
            told = file.read().rpartition(_HEADER)
    except OSError:
        return []
    lines = told[2].decode("utf-8", "replace").strip().splitlines()
    return lines[1:] if told[1] else lines


def signal_trainer(run: Run, number: signal.Signals) -> int:
    """Send a signal to the trainer of a run and return its pid.

    Raises:
        RunError: nobody trains this run.
    """
    found = holder(run)
    if found is None or not found.pid:
        raise RunError(f"{safe(run.path)} is not being trained; there is nothing to stop")
    elsewhere = RunError(
        f"{safe(run.path)} has no process {found.pid} here; it has just ended, "
        "or it is trained on another machine: stop it there"
    )
    if not _may_hold(found.pid, run):
        raise elsewhere
    try:
        os.kill(found.pid, number)
    except ProcessLookupError as error:  # it ended this instant, or runs on another machine
        raise elsewhere from error
    except PermissionError as error:
        raise RunError(
            f"process {found.pid} that trains {safe(run.path)} is another user's; ask them to stop it"
        ) from error
    return found.pid


def _may_hold(pid: int, run: Run) -> bool:
    """Whether a process of this machine may hold a run; another that has its number here does not.

    A lock on a shared disk or of a container names a process that is not ours to signal. Where the
    system does not say which files a process has open, any may.
    """
    files = Path(f"/proc/{pid}/fd")
    try:
        lock = run.lock.stat()
        opened = [path.stat() for path in files.iterdir() if path.exists()]
    except OSError:
        return True
    return any((one.st_dev, one.st_ino) == (lock.st_dev, lock.st_ino) for one in opened)


def wait_until_released(run: Run, patience_s: float) -> bool:
    """Wait until nobody holds the run; False when it is still held after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while holder(run) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
