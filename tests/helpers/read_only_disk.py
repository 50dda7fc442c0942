"""A folder on a disk that is mounted read-only, also for root."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A path that leads to a folder as mounted read-only, in a mount namespace that a child keeps.

    Skips where no process may have one.
    """
    if shutil.which("unshare") is None:
        pytest.skip("util-linux's unshare is needed to mount a disk without being root")
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && echo ready && exec cat'
    keeper = subprocess.Popen(
        ["unshare", "-Urm", "sh", "-c", mount, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert keeper.stdout is not None
        inside = Path(f"/proc/{keeper.pid}/root{folder}")
        if keeper.stdout.readline() != b"ready\n" or os.access(inside, os.W_OK):
            pytest.skip("this machine lets no process mount a disk in a namespace of its own")
        yield inside
    finally:
        keeper.communicate()
