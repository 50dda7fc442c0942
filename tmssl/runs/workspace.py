"""Where results about a run are written: its folder, or a copy that is not kept where that is read-only."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tmssl.errors import RunError
from tmssl.runs.folder import Run, pinned
from tmssl.text import safe

_LARGEST_COPY = 2 << 30  # bytes of an index that is copied; a larger one is built again


def is_read_only(run: Run) -> bool:
    """Whether what is made of a run cannot be kept in its folder: another user's, or on a read-only disk."""
    places = [run.path, *(path for path in (run.eval, run.index) if path.is_dir())]
    places += [run.journal] if run.journal.exists() else []
    return not all(os.access(place, os.W_OK) for place in places)


def read_only_words(run: Run) -> str:
    """The line that says that nothing is kept."""
    return f"{safe(run.path)} is read-only, so nothing is kept there"


@contextlib.contextmanager
def workspace(run: Run, warn: Callable[[str], None]) -> Iterator[Run]:
    """The run, to be evaluated and searched, with its folder open.

    Where the folder cannot be written (another user's, a read-only disk), results go to a temporary copy
    without the checkpoints, which are read where they are.

    Args:
        run: the run.
        warn: takes the line that says that nothing is kept.

    Raises:
        RunError: the folder is gone, or holds a link; there is no room for a copy.
    """
    if not is_read_only(run):
        with pinned(run) as opened:
            yield opened
        return
    with tempfile.TemporaryDirectory(prefix="tmssl-run-") as scratch:
        try:
            _copy(run, Path(scratch))
        except OSError as error:
            raise RunError(
                f"{safe(run.path)} is read-only and cannot be copied: {safe(error.strerror or error)}"
            ) from error
        warn(read_only_words(run))
        yield Run(run.path, Path(scratch))


def _copy(run: Run, scratch: Path) -> None:
    """Copy what an evaluation or a search reads besides checkpoints, without links."""
    copy = Run(scratch)
    for source, target in ((run.config, copy.config), (run.journal, copy.journal)):
        if source.is_file():
            shutil.copyfile(source, target)
    for folder in ("checkpoints", "gallery"):
        if run.file(folder).is_dir():
            copy.file(folder).symlink_to(run.file(folder))
    for source, target in ((run.eval, copy.eval), (run.index, copy.index)):
        target.mkdir()
        files = [file for file in source.glob("*") if file.is_file() and not file.is_symlink()]
        if sum(file.stat().st_size for file in files) <= _LARGEST_COPY:
            for file in files:
                shutil.copyfile(file, target / file.name)
