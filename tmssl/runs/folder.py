"""The folder of a run: its paths, and how runs are made, found, locked and listed."""

import contextlib
import dataclasses
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tmssl.claims import claimed, identity, is_claimed, pinned_folder, watched
from tmssl.errors import RunError
from tmssl.files import is_folder, is_there, what_else
from tmssl.locks import Held, Holder, find_holder, hold
from tmssl.text import pasted, safe
from tmssl.unfinished import is_unfinished, sweep, unfinished_path

CONFIG_NAME = "config.toml"
LATEST = "latest"
_LONGEST_NAME = 255  # bytes
_FILES = (CONFIG_NAME, "metrics.jsonl", "train.log", "lock", "lock.heartbeat")
_FOLDERS = ("checkpoints", "eval", "index", "export", "gallery")


@dataclasses.dataclass(frozen=True)
class Run:
    """One training history in one folder."""

    path: Path
    at: Path | None = dataclasses.field(default=None, compare=False, repr=False)
    """a path of the open folder, which leads there whatever happens to its name; see `pinned`"""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def config(self) -> Path:
        """The current configuration."""
        return self.here / CONFIG_NAME

    @property
    def here(self) -> Path:
        """The folder: open, or by its name."""
        return self.at or self.path

    @property
    def journal(self) -> Path:
        """The append-only record."""
        return self.here / "metrics.jsonl"

    @property
    def log(self) -> Path:
        """The output of the trainer."""
        return self.here / "train.log"

    @property
    def lock(self) -> Path:
        """Locked by the trainer as long as it lives."""
        return self.here / "lock"

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.here / "checkpoints"

    @property
    def eval(self) -> Path:
        """Folder of evaluations and their matches."""
        return self.here / "eval"

    @property
    def index(self) -> Path:
        """Folder of search indexes."""
        return self.here / "index"

    @property
    def report(self) -> Path:
        """The training log report."""
        return self.here / "report.md"

    def file(self, relative: str) -> Path:
        """A file of the run by its path in the folder, as events name it."""
        return self.here / relative

    def relative(self, path: Path) -> str:
        """A path relative to the folder if it lies there, else as it is."""
        for folder in (self.path, self.here):
            if path.is_relative_to(folder):
                return str(path.relative_to(folder))
        return str(path)


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
    if not name or Path(name).name != name or name in (".", "..", LATEST):
        raise RunError(
            f"--name is '{safe(name, 60)}'; give a plain name, without slashes and not `latest`"
        )
    length = len(os.fsencode(name))
    if length > _LONGEST_NAME:
        raise RunError(
            f"--name has {length:,} bytes, such as '{safe(name, 40)}'; a file name has at most "
            f"{_LONGEST_NAME}: give a shorter one"
        )
    run = Run(runs_folder / name)
    if is_there(run.path):
        raise RunError(taken_words(run))
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
    except FileExistsError as error:
        raise RunError(taken_words(run)) from error
    except OSError as error:
        raise RunError(
            f"cannot make {safe(run.path)}: {error.strerror}; choose another --runs"
        ) from error
    make_folders(run)
    if latest:
        point_latest(run)
    return run


def taken_words(run: Run) -> str:
    """Why a name of a run cannot be taken, and what to do."""
    on = f", or go on with `tmssl train --resume {pasted(run.path)}`" * run.config.is_file()
    return f"{safe(run.path)} exists already; choose another --name{on}"


def make_folders(run: Run) -> None:
    """Make those folders of a run that are missing.

    Raises:
        RunError: one cannot be made.
    """
    for folder in (run.checkpoints, run.eval, run.index):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(
                f"cannot make {safe(folder)}: {error.strerror}; choose another --runs"
            ) from error


def point_latest(run: Run) -> None:
    """Let `latest` beside a run name it, atomically: by a link, or by a file where the disk has no links.

    Raises:
        RunError: `latest` is a folder, or the folder of runs cannot be written.
    """
    latest = run.path.parent / LATEST
    sweep(latest.parent)
    if latest.is_symlink() and os.readlink(latest) == run.name:  # noqa: PTH115 - the text of the link decides
        return
    fresh = unfinished_path(latest)
    try:
        fresh.unlink(missing_ok=True)
        try:
            fresh.symlink_to(run.path.name)
        except OSError:  # exFAT, SMB, Google Drive and many FUSE mounts have none
            fresh.write_bytes(os.fsencode(run.path.name) + b"\n")
        fresh.replace(latest)
    except OSError as error:
        with contextlib.suppress(OSError):  # the error that led here says more
            fresh.unlink(missing_ok=True)
        raise RunError(
            f"cannot point {safe(latest)} at {safe(run.name)}: {error.strerror}; "
            "move or delete the file of that name, or choose another --runs"
        ) from error


def _latest(path: Path) -> Path:
    """The run that a `latest` names which is no link: in a file, or else the newest run beside it.

    It is a folder in a copy that followed links, and missing in a copy that left them out.
    """
    if path.is_file():
        with contextlib.suppress(OSError):
            named = Path(os.fsdecode(path.read_bytes()[:_LONGEST_NAME].strip()))
            return path.parent / named.name
    begun = [run for run in list_runs(path.parent) if run.config.is_file()]
    return max(begun, key=_begun_at).path if begun else path


def _begun_at(run: Run) -> tuple[float, str]:
    """When a run was last begun or resumed, which writes its settings; the name decides a tie."""
    with contextlib.suppress(OSError):
        return run.config.stat().st_mtime, run.name
    return 0.0, run.name


def open_run(path: Path) -> Run:
    """The run at a path, which may be the `latest` of a folder of runs.

    Raises:
        RunError: nothing is there, or it is not a run folder.
    """
    if path.name == LATEST and not path.is_symlink():
        path = _latest(path)
    shown = safe(path)
    if not is_there(path):
        hint = "start one with `tmssl train --data DIR` or `tmssl demo`"
        if os.path.islink(path):  # noqa: PTH114 - no error for a name that is too long
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
    if not is_folder(runs_folder):
        return []
    try:
        paths = sorted(runs_folder.iterdir())
    except OSError as error:
        raise RunError(
            f"cannot list {safe(runs_folder)}: {error.strerror}; make it readable, or choose another --runs"
        ) from error
    return [Run(path.resolve()) for path in paths if not path.is_symlink() and is_run(path)]


def is_run(path: Path) -> bool:
    """Whether a folder is a run that may be read; others' private runs, and one being made, are none."""
    files = (path / CONFIG_NAME, path / "metrics.jsonl")
    return os.access(path, os.X_OK) and any(map(Path.is_file, files)) and not is_unfinished(path)


@contextlib.contextmanager
def pinned(run: Run) -> Iterator[Run]:
    """The run with its folder open, so that files are written there whatever happens to its name.

    Raises:
        RunError: the folder is gone, or holds what no run of ours has, such as a link.
    """
    with contextlib.ExitStack() as opened:
        try:
            at = opened.enter_context(pinned_folder(run.path))
        except OSError as error:
            raise RunError(f"cannot open {safe(run.path)}: {error.strerror}") from error
        check_entries(run)
        yield Run(run.path, at)


def check_entries(run: Run) -> None:
    """Refuse to write into a folder where a link or a FIFO leads elsewhere.

    Raises:
        RunError: a file or folder of the run is something else.
    """
    for names, folder in ((_FILES, False), (_FOLDERS, True)):
        for name in names:
            kind = ""
            with contextlib.suppress(FileNotFoundError):
                kind = what_else(run.path / name, folder)
            if kind:
                wanted = "folder" if folder else "file"
                raise RunError(
                    f"{safe(run.path / name)} is {kind} and no {wanted}; nothing is written there: "
                    f"put a {wanted} of that name in its place"
                )


@contextlib.contextmanager
def claimed_run(run: Run, patience_s: float = 2.0) -> Iterator[int]:
    """Lock the folder of a run itself, for its trainer or for the command that starts one.

    The open folder, which is yielded, may be left to a child, which then holds the lock too.

    Raises:
        RunError: another process trains or starts the run, or the folder is gone.
    """
    with contextlib.ExitStack() as opened:
        try:
            folder = opened.enter_context(claimed(run.path, patience_s))
        except BlockingIOError as error:
            raise RunError(_held_words(run)) from error
        except OSError as error:
            raise RunError(f"cannot open {safe(run.path)}: {error.strerror}") from error
        yield folder


@contextlib.contextmanager
def hold_lock(
    run: Run, patience_s: float = 2.0, on_loss: Callable[[str], None] | None = None
) -> Iterator[tuple[Run, Held]]:
    """Hold the lock of a run and its folder; they are released however the process ends.

    The folder itself is locked as well: who removes the file `lock` lets no second trainer in, and the
    file is written anew.

    Args:
        run: the run.
        patience_s: how long to try.
        on_loss: called in a thread, once, with the reason if the folder is renamed, deleted or replaced.

    Yields:
        the run with its folder open, and its lock.

    Raises:
        RunError: another trainer holds the lock, or the disk is full.
    """
    with contextlib.ExitStack() as held:
        folder = held.enter_context(claimed_run(run, patience_s))
        opened = held.enter_context(pinned(run))
        try:
            lock = held.enter_context(hold(opened.lock, patience_s))
        except BlockingIOError as error:
            raise RunError(_held_words(run)) from error
        except OSError as error:
            raise RunError(
                f"cannot write into {safe(run.path)}: {error.strerror}; free disk space and try again"
            ) from error
        held.enter_context(watched(run.path, folder, opened.lock, lock.file, on_loss))
        yield opened, lock


def _held_words(run: Run) -> str:
    """Why a run cannot be trained that another process trains, and what to do."""
    trainer = holder(run)
    if trainer is not None and trainer.host:
        return (
            f"{safe(run.path)} is being trained already, by process {trainer.pid} of "
            f"{safe(trainer.host, 60)}; stop it there, or wait a minute if that machine is gone"
        )
    return (
        f"{safe(run.path)} is being trained already; watch it with "
        f"`tmssl watch {pasted(run.path)}` or stop it with `tmssl stop {pasted(run.path)}`"
    )


def holder(run: Run) -> Holder | None:
    """The trainer that holds the lock of a run, or None; a reused pid is never taken for one."""
    found = find_holder(run.lock)
    if found is None and is_claimed(run.here):
        return Holder(0, 0.0)
    return found


def folder_identity(run: Run) -> str:
    """What tells the folder of a run from a later one of the same name; empty where there is none."""
    try:
        return identity(run.path)
    except OSError:
        return ""


def what_is_gone(run: Run, *, had_journal: bool, seen: str = "") -> str:
    """Which of a run's folder and journal no longer exists, in words; empty while both do.

    `had_journal` says that the journal was there before, `seen` is the `folder_identity` of then.
    """
    if not run.path.is_dir():
        return f"the folder {safe(run.path)} was deleted or moved"
    if seen and seen != folder_identity(run):
        return f"the folder {safe(run.path)} was replaced by another"
    if had_journal and not run.journal.exists():
        return f"the journal {safe(run.journal)} was deleted"
    return ""


def is_alive(run: Run) -> bool:
    """Whether a trainer holds the run."""
    return holder(run) is not None
