"""Names of files and folders that are still being written, and the removal of those whose writers were killed.

Such a name tells who writes the file: `.config.toml.tmssl-1f3a09c2-4711` is of process 4711 of one host, boot
and container. Nobody but a process of ours gives a file a name of this form.
"""

import contextlib
import functools
import hashlib
import os
import re
import shutil
import socket
import time
from pathlib import Path

from tmssl.system import pid_space

_NAME = re.compile(r"\..*\.tmssl-([0-9a-f]{8})-([1-9][0-9]{0,9})", re.DOTALL)
_OLD_NAME = re.compile(r"\..+-\d+", re.DOTALL)  # as versions before 0.3 gave them
_FOREIGN_S = 86400.0
"""age in seconds from which the file of a process elsewhere is taken for one that was left behind"""
_LONGEST = 200  # bytes of the name that stay, as a file name has 255 at the most


@functools.cache
def place() -> str:
    """What two processes share whose pids mean the same: host, boot and container."""
    return f"{socket.gethostname()} {pid_space()}".rstrip()


def unfinished_path(path: Path) -> Path:
    """The hidden path beside a file under which this process writes it."""
    kept = os.fsdecode(os.fsencode(path.name)[:_LONGEST])
    return path.with_name(f".{kept}.tmssl-{_token()}-{os.getpid()}")


def is_unfinished(path: Path) -> bool:
    """Whether a file has the name of one that a process was still writing, as a kill leaves it."""
    return any(form.fullmatch(path.name) is not None for form in (_NAME, _OLD_NAME))


def sweep(folder: Path) -> None:
    """Remove from a folder what killed processes have left unfinished there.

    The process of another host or boot counts as ended when its file has not changed for a day. What cannot
    be removed stays.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        left = [
            entry
            for entry in entries
            if (found := _NAME.fullmatch(entry.name)) and _is_left(entry, found[1], int(found[2]))
        ]
        for entry in left:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
                continue
            with contextlib.suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108 - an entry of scandir


def _is_left(entry: "os.DirEntry[str]", token: str, pid: int) -> bool:
    """Whether the process that wrote a file has ended."""
    if token == _token():
        return not _lives(pid)
    with contextlib.suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_S
    return False


def _lives(pid: int) -> bool:
    """Whether there is a process of a number here."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


@functools.cache
def _token() -> str:
    """Eight hexadecimal digits for the place of this process."""
    return hashlib.sha256(place().encode("utf-8", "replace")).hexdigest()[:8]
