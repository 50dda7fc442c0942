"""The command line as a child process."""

import os
import subprocess
import sys
from pathlib import Path

from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

TINY = [
    "--model",
    "test_efficientnet",
    "--hidden",
    "32",
    "--dimensions",
    "16",
    "--image-size",
    "32",
    "--batch-size",
    "8",
    "--log-every",
    "1",
    "--device",
    "cpu",
    "--lr",
    "0.05",
]


def tmssl(folder: Path, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `tmssl` in a folder and check its exit code; no traceback ever."""
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done


def history(folder: Path) -> History:
    return read_history(read_journal(folder / "runs" / "latest" / "metrics.jsonl"))


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says what was wrong."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("tmssl: ")]
    assert len(lines) == 1, done.stderr
    return lines[0]
