"""The side of the test: compiles the library, starts the server, and asks for commands."""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.command import ROOT, environment

_SOURCE = Path(__file__).with_name("operations.c")


@dataclasses.dataclass(frozen=True)
class Ended:
    """What became of a command and of the trainer that it started."""

    code: int
    operations: list[str]
    """kind and path of what was done to files of the folder, such as `rename /runs/latest`"""
    died: bool
    said: str


class Commands:
    """Commands of `tmssl`, forked from a process that has loaded everything already."""

    def __init__(self, server: "subprocess.Popen[str]") -> None:
        self._server = server

    def run(self, folder: Path, words: str, *, die_at: int = 0, torn: bool = False) -> Ended:
        """Run `tmssl WORDS` in a folder; whoever begins operation `die_at` below it is killed."""
        return self._ask(folder, words, die_at=die_at, torn=torn)[0]

    def run_at_once(self, folder: Path, words: str, copies: int) -> list[Ended]:
        """Run `tmssl WORDS` several times at once."""
        return self._ask(folder, words, copies=copies)

    def signal(self, folder: Path, words: str, number: int, seen: str) -> Ended:
        """Run `tmssl WORDS`, and signal it once it has said something."""
        return self._ask(folder, words, number=number, seen=seen)[0]

    def _ask(self, folder: Path, words: str, **options: Any) -> list[Ended]:
        """What the server answers."""
        asked = {
            "words": words.split(),
            "folder": str(folder.resolve()),
            "die_at": 0,
            "torn": False,
        }
        asked |= {"copies": 1, "number": 0, "seen": ""}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({**asked, **options}) + "\n")
        self._server.stdin.flush()
        ended = [Ended(**fields) for fields in json.loads(self._server.stdout.readline() or "[]")]
        assert ended, "the server of commands ended"
        assert not any("Traceback" in one.said for one in ended), ended
        return ended


def preloaded(folder: Path) -> Path:
    """The library of operations.c; skips where nothing compiles or preloads it."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("deaths at file operations need a C compiler, and Linux's LD_PRELOAD")
    library = folder / "operations.so"
    words = ["-O1", "-shared", "-fPIC", "-o", str(library), str(_SOURCE), "-ldl"]
    subprocess.run([compiler, *words], check=True)
    return library


@contextlib.contextmanager
def commands(folder: Path, cache: Path) -> Iterator[Commands]:
    """Commands that find and leave packs in a cache."""
    variables = {"LD_PRELOAD": str(preloaded(folder)), "TMSSL_CACHE": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.deaths.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**variables, PYTHONHASHSEED="0", MALLOC_ARENA_MAX="1"),
    ) as server:
        try:
            yield Commands(server)
        finally:
            assert server.stdin is not None
            server.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)
            server.kill()


def names(folder: Path) -> set[str]:
    """Every file, folder and link below a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def copied(folder: Path, target: Path) -> Path:
    """A copy of a folder, links as links, in place of what was at the target."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(folder, target, symlinks=True)
    os.utime(target)
    return target
