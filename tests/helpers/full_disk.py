"""Disks that are really full: a small tmpfs where this process may mount one, or a limit on files."""

import contextlib
import os
import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest


class Disk(Protocol):
    """A place that can be filled."""

    folder: Path

    def fill(self, room_kib: int = 0) -> None:
        """Let nothing larger than so much be written."""

    def free(self) -> None:
        """Let everything be written again."""


class SmallDisk:
    """A tmpfs of its own, in a mount namespace that a child keeps and that /proc leads into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self, room_kib: int = 0) -> None:
        left = os.statvfs(self.folder)
        more = left.f_bavail * left.f_bsize - 1024 * room_kib
        if more > 0:
            with self._filler.open("ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), more)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)


class Limit:
    """A folder like any other, in which this process may write no file beyond a size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(self, room_kib: int = 0) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * room_kib, self._before[1]))

    def free(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


@contextlib.contextmanager
def small_disk(folder: Path, size: str = "32m", files: int = 1000) -> Iterator[SmallDisk]:
    """A tmpfs of a size and a number of files, mounted for us alone; skips where that is not allowed."""
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is needed to mount a small disk without being root")
    folder.mkdir()
    mount = f'mount -t tmpfs -o size={size},nr_inodes={files} tmpfs "$0" && echo ready && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "-Urm", "sh", "-c", mount, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None
        inside = Path(f"/proc/{keeper.pid}/root{folder}")
        if keeper.stdout.readline() != b"ready\n" or not os.access(inside, os.W_OK):
            pytest.skip("this machine lets no process mount a small disk in a namespace of its own")
        yield SmallDisk(inside)
    finally:
        keeper.communicate()


@contextlib.contextmanager
def full_disk(kind: str, folder: Path) -> Iterator[Disk]:
    """A disk of a kind, `tmpfs` or `limit`, that is emptied in the end."""
    if kind == "tmpfs":
        with small_disk(folder) as disk:
            yield disk
        return
    folder.mkdir()
    limit = Limit(folder)
    try:
        yield limit
    finally:
        limit.free()
