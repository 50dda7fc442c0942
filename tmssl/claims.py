"""A folder that belongs to one process: locked itself, held open, and watched.

A name leads to another folder once the first one is renamed, deleted or replaced; an open folder stays the
same. A lock on the folder cannot be removed as a file in it can.
"""

import contextlib
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from tmssl.files import open_plain
from tmssl.locks import flock, flock_patiently, holder_line, is_at, write_line
from tmssl.system import open_folder_path, present_path

CLAIMED_VARIABLE = "TMSSL_FOLDER"
"""environment variable of a child: device and inode of the folder that was handed to it"""
_WATCH_S = 1.0  # between looks whether the folder and the lock are still there


def identity(folder: int | Path) -> str:
    """Device and inode of a folder."""
    status = os.stat(folder)  # noqa: PTH116 - it may be an open folder
    return f"{status.st_dev}:{status.st_ino}"


@contextlib.contextmanager
def pinned_folder(path: Path) -> Iterator[Path | None]:
    """A path that leads to a folder as long as it is open, whatever happens to its name.

    None where an open folder has no path, as on macOS.

    Raises:
        OSError: there is no folder, or not the one that was handed to this process.
    """
    folder = _open(path)
    try:
        if os.environ.get(CLAIMED_VARIABLE, identity(folder)) != identity(folder):
            raise OSError(0, "it is another folder than a moment ago, and is left alone")
        yield open_folder_path(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def claimed(path: Path, patience_s: float) -> Iterator[int]:
    """Lock a folder itself, and yield it open.

    Raises:
        BlockingIOError: another process holds it.
        OSError: there is no folder.
    """
    folder = _open(path)
    try:
        if os.environ.get(CLAIMED_VARIABLE) != identity(folder):  # else the parent left us its lock
            flock_patiently(folder, path, patience_s)
        yield folder
    finally:
        os.close(folder)


def is_claimed(path: Path) -> bool:
    """Whether another process has locked a folder."""
    try:
        folder = _open(path)
    except OSError:
        return False
    try:
        return flock(folder, fcntl.LOCK_SH) is False
    finally:
        os.close(folder)


@contextlib.contextmanager
def watched(
    path: Path, folder: int, lock: Path, file: int, on_loss: Callable[[str], None] | None
) -> Iterator[None]:
    """Look every second whether a folder is there, and write a lock that was removed from it anew.

    Args:
        path: the name of the folder.
        folder: the same, open.
        lock: path of the lock.
        file: the lock, open.
        on_loss: called once in a thread with the reason, when the name no longer leads to the folder.
    """
    ended, files = threading.Event(), [file]

    def watch() -> None:
        while not ended.wait(_WATCH_S):
            if not is_at(path, folder):
                if on_loss is not None:
                    on_loss(_loss(folder))
                return
            if not is_at(lock, files[-1]):
                with contextlib.suppress(OSError):  # a full disk, which is tried again
                    files.append(_renewed(lock))

    thread = threading.Thread(target=watch, name="folder", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for renewed in files[1:]:
            os.close(renewed)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def _renewed(lock: Path) -> int:
    """The file of a lock, made and locked anew by the process that holds its folder."""
    file = open_plain(lock, os.O_RDWR | os.O_CREAT)
    flock(file, fcntl.LOCK_EX)
    write_line(file, holder_line())
    return file


def _loss(folder: int) -> str:
    """What happened to a folder to which its name no longer leads."""
    if os.fstat(folder).st_nlink == 0:
        return "was deleted"
    path = present_path(folder)
    return f"was moved to {path}" if path else "was moved"
