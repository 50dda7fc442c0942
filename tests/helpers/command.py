"""The command line as a child process, and what it wrote."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helpers.waiting import DEADLINE_S
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "cli"]
TINY = (
    "--model test_efficientnet --hidden 32 --dimensions 16 --image-size 32 --batch-size 8 "
    "--log-every 1 --device cpu --lr 0.05 --optimizer sgd --temperature 0.2 --momentum 0.99 "
    "--init none --features pooled --train all"
).split()


def environment(**variables: str) -> dict[str, str]:
    """The environment of a child that imports this tree."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def start(folder: Path, *words: str, **options: Any) -> subprocess.Popen[str]:
    """Start `tmssl` in a folder; options as for Popen."""
    defaults = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "env": environment()}
    return subprocess.Popen([*COMMAND, *words], cwd=folder, text=True, **{**defaults, **options})


def tmssl(
    folder: Path, *words: str, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run `tmssl` in a folder and check its exit code; no traceback ever."""
    return run_checked([*COMMAND, *words], folder, code, **variables)


def run_checked(
    command: list[str], folder: Path | None = None, code: int = 0, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a child that imports this tree and check its exit code; no traceback ever."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=environment(**variables),
        timeout=DEADLINE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done


def read_terminal(leader: int) -> bytes:
    """All that a pseudo-terminal shows until its programs have ended; closes it."""
    shown = b""
    with contextlib.suppress(OSError):  # Linux's word for the end
        while block := os.read(leader, 65536):
            shown += block
    os.close(leader)
    return shown


def history(folder: Path) -> History:
    return read_history(read_journal(folder / "runs" / "latest" / "metrics.jsonl"))


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what was wrong."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("tmssl: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
