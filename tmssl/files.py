"""The one atomic write: files that appear complete or not at all, even after a power cut."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tmssl.errors import InputError
from tmssl.text import safe


@contextlib.contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A hidden path beside `path` to write to; it replaces `path` when the block ends without an error.

    Its bytes reach the disk before its name changes. Several processes may write the same `path` at
    once: the last to finish wins. After an error nothing of it is left.

    Raises:
        OSError: the disk is full, or the folder is missing or not writable.
    """
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        yield fresh
        sync(fresh)
        fresh.replace(path)
        sync(path.parent)
    finally:
        with contextlib.suppress(OSError):  # the error that led here says more
            fresh.unlink(missing_ok=True)


def is_unfinished(path: Path) -> bool:
    """Whether a file has the name of one that `atomic_path` was still writing, as a kill leaves it."""
    return re.fullmatch(r"\..+-\d+", path.name) is not None


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
        f"cannot write {safe(path)}: {reason}; {advice or 'check the disk and the owner of the folder'}"
    )


def sync(path: Path) -> None:
    """Let a file's bytes, or a folder's names, reach the disk."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
