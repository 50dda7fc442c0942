"""The folder of a run: its paths, and how runs are made, found, locked and listed."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tmssl.errors import RunError
from tmssl.text import pasted, safe

CONFIG_NAME = "config.toml"


@dataclasses.dataclass(frozen=True)
class Run:
    """One training history in one folder."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The current configuration."""
        return self.path / CONFIG_NAME

    @property
    def journal(self) -> Path:
        """The append-only record."""
        return self.path / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """The output of the trainer."""
        return self.path / "train.log"

    @property
    def lock(self) -> Path:
        """Locked by the trainer as long as it lives."""
        return self.path / "lock"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def eval(self) -> Path:
        """Folder of evaluations and their matches."""
        return self.path / "eval"

    @property
    def index(self) -> Path:
        """Folder of search indexes."""
        return self.path / "index"

    @property
    def report(self) -> Path:
        """The training log report."""
        return self.path / "report.md"


def run_name(label: str, now: float | None = None) -> str:
    """`20261123-1530-toy`: local time and a label reduced to letters, digits and dashes."""
    plain = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:40]
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
    return f"{stamp}-{plain}" if plain else stamp


def new_run(runs_folder: Path, name: str) -> Run:
    """The run that a name would make; creates nothing.

    Raises:
        RunError: the name is not usable, or taken.
    """
    if not name or Path(name).name != name or name in (".", "..", "latest"):
        raise RunError(
            f"--name is '{safe(name, 60)}'; give a plain name, without slashes and not `latest`"
        )
    run = Run(runs_folder / name)
    if run.path.exists():
        raise RunError(f"{safe(run.path)} exists already; choose another --name")
    return run


def create_run(runs_folder: Path, name: str, *, latest: bool = True) -> Run:
    """Make a new run folder and, with `latest`, point the link `latest` at it.

    Raises:
        RunError: the name is not usable or taken, or the folder cannot be made.
    """
    run = new_run(runs_folder, name)
    try:
        runs_folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make the folder of runs {safe(runs_folder)}: {error.strerror}; choose another --runs"
        ) from error
    try:
        run.path.mkdir()
        for folder in (run.checkpoints, run.eval, run.index):
            folder.mkdir()
    except FileExistsError as error:
        raise RunError(f"{safe(run.path)} exists already; choose another --name") from error
    except OSError as error:
        raise RunError(
            f"cannot make {safe(run.path)}: {error.strerror}; choose another --runs"
        ) from error
    if latest:
        point_latest(run)
    return run


def point_latest(run: Run) -> None:
    """Replace the `latest` link beside a run atomically.

    Raises:
        RunError: `latest` is not a link, or the folder cannot be written.
    """
    latest = run.path.parent / "latest"
    fresh = run.path.parent / f".latest-{os.getpid()}"
    try:
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(run.path.name)
        fresh.replace(latest)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise RunError(
            f"cannot point {safe(latest)} at {safe(run.name)}: {error.strerror}; "
            "move or delete the file of that name, or choose another --runs"
        ) from error


def open_run(path: Path) -> Run:
    """The run at a path, which may be the `latest` link.

    Raises:
        RunError: nothing is there, or it is not a run folder.
    """
    shown = safe(path)
    if not path.exists():
        hint = "start one with `tmssl train --data DIR` or `tmssl demo`"
        if path.is_symlink():
            hint = "the link points at a folder that is gone; name another run"
        raise RunError(f"there is no run at {shown}; {hint}")
    if not (path / CONFIG_NAME).is_file() and not (path / "metrics.jsonl").is_file():
        raise RunError(
            f"{shown} is not a run folder (no {CONFIG_NAME} and no metrics.jsonl in it); "
            "`tmssl runs` lists the runs"
        )
    return Run(path.resolve())


def list_runs(runs_folder: Path) -> list[Run]:
    """The runs in a folder by name, the newest last, without the link `latest`.

    Raises:
        RunError: the folder cannot be listed.
    """
    if not runs_folder.is_dir():
        return []
    try:
        paths = sorted(runs_folder.iterdir())
    except OSError as error:
        raise RunError(
            f"cannot list {safe(runs_folder)}: {error.strerror}; make it readable, or choose another --runs"
        ) from error
    return [
        Run(path.resolve())
        for path in paths
        if not path.is_symlink()
        and os.access(path, os.X_OK)  # others' private runs in a shared folder
        and ((path / CONFIG_NAME).is_file() or (path / "metrics.jsonl").is_file())
    ]


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that holds the lock of a run."""

    pid: int
    started: float
    """Unix time in seconds at which it took the lock"""


@contextlib.contextmanager
def hold_lock(run: Run, patience_s: float = 2.0) -> Iterator[None]:
    """Hold the lock of a run; the kernel releases it however the process ends.

    It tries for `patience_s` seconds, since a check by `holder` takes the lock for microseconds.

    Raises:
        RunError: another trainer holds the lock, or the disk is full.
    """
    file = os.open(run.lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take_lock(file, run, patience_s)
        line = json.dumps({"pid": os.getpid(), "started": time.time()}).encode()
        try:
            os.ftruncate(file, 0)
            os.pwrite(file, line, 0)
        except OSError as error:
            raise RunError(
                f"cannot write into {safe(run.path)}: {error.strerror}; free disk space and try again"
            ) from error
        yield
    finally:
        os.close(file)


def _take_lock(file: int, run: Run, patience_s: float) -> None:
    """Lock the file exclusively."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN):
                raise
            if time.monotonic() > deadline:
                raise RunError(
                    f"{safe(run.path)} is being trained already; watch it with "
                    f"`tmssl watch {pasted(run.path)}` or stop it with `tmssl stop {pasted(run.path)}`"
                ) from error
            time.sleep(0.02)


def holder(run: Run) -> Holder | None:
    """The trainer that holds the lock of a run, or None; a reused pid is never taken for one."""
    try:
        file = os.open(run.lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _read_holder(file)
        return None
    finally:
        os.close(file)


def _read_holder(file: int) -> Holder:
    """The holder as written in the lock file; pid 0 if that is not written yet."""
    try:
        fields = json.loads(os.pread(file, 4096, 0))
        return Holder(int(fields["pid"]), float(fields["started"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, 0.0)


def is_alive(run: Run) -> bool:
    """Whether a trainer holds the run."""
    return holder(run) is not None
