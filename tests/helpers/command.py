"""The command line as a child process, and what it wrote."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "cli"]
TINY = (
    "--model test_efficientnet --hidden 32 --dimensions 16 --image-size 32 --batch-size 8 "
    "--log-every 1 --device cpu --lr 0.05"
).split()
DEADLINE_S = 120.0

Result = TypeVar("Result")


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child that imports this tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def start(folder: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    """Start `tmssl` in a folder; options as for Popen."""
    defaults = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment()}
    return subprocess.Popen([*COMMAND, *words], cwd=folder, text=True, **{**defaults, **options})


def tmssl(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `tmssl` in a folder and check its exit code; no traceback ever."""
    return run_checked([*COMMAND, *words], folder, code)


def run_checked(
    command: list[str], folder: Path | None = None, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a child that imports this tree and check its exit code; no traceback ever."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
        timeout=DEADLINE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done


def wait_for(
    condition: Callable[[], Result], child: "subprocess.Popen[Any] | None" = None
) -> Result:
    """Poll a condition until it holds and return it; `child` must stay alive until then."""
    deadline = time.monotonic() + DEADLINE_S
    while not (result := condition()):
        assert child is None or child.poll() is None, "the child ended first"
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.01)
    return result


def history(folder: Path) -> History:
    return read_history(read_journal(folder / "runs" / "latest" / "metrics.jsonl"))


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what was wrong."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("tmssl: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
