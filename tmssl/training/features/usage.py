"""Where stores of cached features are, which runs use them, and the removal of those that none uses."""

import contextlib
import dataclasses
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tmssl.files import write_atomic
from tmssl.locks import hold
from tmssl.training.features.store import allocated_bytes

_BUILD_LOCK = "build.lock"


@dataclasses.dataclass(frozen=True)
class StoredViews:
    """A store beside a pack, for a person."""

    folder: Path
    size: int
    """bytes on the disk"""
    runs: tuple[str, ...]
    """folders of the runs that use it"""


def store_folder(pack: Path, run: Path, key: str) -> Path:
    """Where the store of a key is: beside the pack, or in the run's folder if that is not writable."""
    if os.access(pack.parent, os.W_OK):
        return pack.with_name(f"{pack.name}.views-{key}")
    return run / f"views-{key}"


def stored_views(pack: Path, run: Path | None = None) -> list[StoredViews]:
    """The stores beside a pack, and those in a run's folder."""
    found = sorted(pack.parent.glob(f"{glob.escape(pack.name)}.views-*"))
    found += sorted(run.glob("views-*")) if run is not None else []
    return [
        StoredViews(folder, allocated_bytes(folder), tuple(runs_of(folder)))
        for folder in found
        if folder.is_dir()
    ]


def runs_of(folder: Path) -> list[str]:
    """The folders of the runs that use a store and still exist."""
    users = [path.read_text("utf-8") for path in sorted(folder.glob("*.users"))]
    return [run for run in users if Path(run).is_dir()]


def add_user(folder: Path, run: Path) -> None:
    """Note that a run uses a store."""
    write_atomic(_user_file(folder, run), str(run.resolve()).encode())


def remove_unused(
    pack: Path, run: Path, *keep: Path
) -> tuple[list[StoredViews], list[StoredViews]]:
    """Remove the stores that no run uses any more, now that `run` uses `keep`.

    Returns:
        Those that were removed, and those of other runs that were kept.
    """
    removed: list[StoredViews] = []
    kept: list[StoredViews] = []
    for other in stored_views(pack, run):
        if other.folder in keep:
            continue
        with contextlib.suppress(OSError):  # not ours to remove
            _user_file(other.folder, run).unlink(missing_ok=True)
        remaining = dataclasses.replace(other, runs=tuple(runs_of(other.folder)))
        gone = not remaining.runs and _remove(other.folder)
        (removed if gone else kept).append(other if gone else remaining)
    return removed, kept


def _remove(folder: Path) -> bool:
    """Remove a store unless a process computes it; whether it is gone."""
    try:
        with build_lock(folder) as is_builder:
            if not is_builder:
                return False
        shutil.rmtree(folder)  # here, as the lock is in it
    except OSError:  # not ours to remove
        return not folder.exists()
    return True


@contextlib.contextmanager
def build_lock(folder: Path) -> Iterator[bool]:
    """Try to become the one process that computes a store; whether it did.

    Raises:
        OSError: the folder cannot be written.
    """
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(hold(folder / _BUILD_LOCK, 0.0))
        except BlockingIOError:
            yield False
            return
        yield True


def _user_file(folder: Path, run: Path) -> Path:
    """The file that says that a run uses a store."""
    name = hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:16]
    return folder / f"{name}.users"
