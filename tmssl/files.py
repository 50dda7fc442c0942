"""The one atomic write, whose files appear complete or not at all, and the folder of the cache.

And the one way to open a file that a stranger may have put into a folder of ours.
"""

import contextlib
import errno
import functools
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from tmssl.errors import InputError
from tmssl.system import is_open_folder_path, open_folder_path
from tmssl.text import safe
from tmssl.unfinished import sweep, unfinished_path

_CANNOT_SYNC = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF}
)
_CANNOT_OPEN = frozenset({errno.EPERM, errno.EACCES, errno.EISDIR})  # of a folder


def cache_folder() -> Path:
    """The user's cache: $TMSSL_CACHE, or ~/.cache/tmssl."""
    return Path(os.environ.get("TMSSL_CACHE") or Path.home() / ".cache" / "tmssl").resolve()


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A hidden path beside `path` to write to; it replaces `path` when the block ends without an error.

    Its bytes reach the disk before its name changes. Several processes may write the same `path` at
    once: the last to finish wins. After an error nothing of it is left; after a kill, what is left is
    removed by the next process that writes into the folder.

    Raises:
        OSError: the disk is full, or the folder is missing or not writable.
    """
    _sweep_once(path.parent, os.getpid())
    fresh = unfinished_path(path)
    fresh.unlink(missing_ok=True)  # a link that a stranger put there
    try:
        yield fresh
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error that led here says more
            fresh.unlink(missing_ok=True)


@functools.lru_cache(maxsize=256)  # a folder of many files is not listed for each of them
def _sweep_once(folder: Path, _process: int) -> None:
    """Remove what killed processes have left in a folder, once in a process."""
    sweep(folder)


def open_plain(path: Path, flags: int) -> int:
    """Open a regular file without following a link, and without waiting for a FIFO or a device.

    Raises:
        OSError: it is something else, or cannot be opened; `strerror` says which.
    """
    with contextlib.suppress(FileNotFoundError):
        kind = what_else(path)  # before it is opened: opening alone moves some devices
        if kind:
            raise OSError(errno.EINVAL, f"it is {kind} and no regular file", str(path))
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def open_to_append(path: Path) -> int:
    """Open a regular file to append to it, and make it if it is missing.

    A file that has a second name elsewhere (a hard link, as `cp -al` makes) is replaced by a copy first, so
    that the other one stays as it is.

    Raises:
        OSError: as for `open_plain`.
    """
    file = open_plain(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    if os.fstat(file).st_nlink < 2:
        return file
    with os.fdopen(file, "rb") as shared, atomic_path(path) as fresh, fresh.open("wb") as own:
        shutil.copyfileobj(shared, own)
    return open_plain(path, os.O_RDWR | os.O_APPEND)


def what_else(path: Path, folder: bool = False) -> str:
    """What a path is instead of a regular file (or a folder): `a link`, `a FIFO`...; empty if it is one.

    Raises:
        FileNotFoundError: nothing is there.
    """
    mode = path.lstat().st_mode
    kinds = {
        "a link": stat.S_ISLNK,
        "a FIFO": stat.S_ISFIFO,
        "a socket": stat.S_ISSOCK,
        "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode),
        "a file": stat.S_ISREG,
        "a folder": stat.S_ISDIR,
    }
    kind = next((name for name, is_kind in kinds.items() if is_kind(mode)), "something else")
    return "" if kind == ("a folder" if folder else "a file") else kind


def is_there(path: Path | str) -> bool:
    """Whether a path exists; one whose name no file can have, being too long, does not."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises an error there


def is_folder(path: Path | str) -> bool:
    """Whether a path is a folder; one whose name is too long for any file is none."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises an error there


def make_plain_folder(path: Path) -> None:
    """Make a folder of ours if it is missing, as when it was deleted meanwhile.

    Raises:
        OSError: a link or the like has its name, through which nothing is written; or the disk refuses it.
    """
    path.mkdir(exist_ok=True)
    kind = what_else(path, folder=True)
    if kind:
        raise OSError(errno.EINVAL, f"it is {kind} and no folder", str(path))


def shown_path(path: Path) -> str:
    """A path for a message: one that leads through an open folder by the folder's present name."""
    return safe(path.resolve() if is_open_folder_path(path) else path)


def write_atomic(path: Path, data: bytes | memoryview | Iterable[bytes]) -> None:
    """Write bytes, whole or in parts, as a file that appears complete or not at all.

    Raises:
        InputError: the file cannot be written; what had its name before is untouched.
    """
    try:
        with atomic_path(path) as fresh, fresh.open("wb") as file:
            file.writelines([data] if isinstance(data, bytes | memoryview) else data)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError, advice: str = "") -> InputError:
    """The error of a file that cannot be written, with what to do about it."""
    reason = safe(error.strerror or error, 100)
    return InputError(
        f"cannot write {shown_path(path)}: {reason}; {advice or 'check the disk and the owner of the folder'}"
    )


def sync(path: Path) -> None:
    """Let a file's bytes, or a folder's names, reach the disk, where the disk takes such a request.

    Google Drive, exFAT, SMB and some FUSE mounts refuse to sync a folder, or to open one for that.
    """
    try:
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        refused = error.errno in _CANNOT_SYNC or (error.errno in _CANNOT_OPEN and path.is_dir())
        if not refused:
            raise


@contextlib.contextmanager
def unicode_path(path: Path) -> Iterator[str]:
    """A path for libraries that take Unicode alone, such as faiss, blosc2 and safetensors.

    A folder whose name is no UTF-8, as old disks have them, is reached by its open descriptor. The
    path is good within the block; a file that was opened or mapped by it stays so.
    """
    text = str(path)
    if text.encode("utf-8", "replace") == os.fsencode(path):
        yield text
        return
    folder = os.open(path.absolute().parent, os.O_RDONLY)
    try:
        through = open_folder_path(folder)
        if through is None:
            raise InputError(f"{safe(path)} has a name that is no UTF-8; rename its folder")
        yield str(through / path.name)
    finally:
        os.close(folder)
