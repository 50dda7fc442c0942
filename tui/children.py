"""Heavy work as children of the monitor's machine, never of its life."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tmssl.text import safe


def command(*words: str) -> list[str]:
    """The command line of a tmssl command."""
    return [sys.executable, "-m", "cli", *words]


def run_child(words: list[str], say: Callable[[str], None]) -> tuple[int, str, str]:
    """Run a child to its end in a session of its own.

    Args:
        words: its command line.
        say: told each line of its stderr as it comes, made safe.

    Returns:
        Exit code, stdout, and the last line of stderr.
    """
    with subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True, bufsize=1,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        last = ""
        for line in child.stderr:
            if line.strip():
                last = safe(line.strip())
                say(last)
        told = child.stdout.read()
    return child.returncode, told, last


def evaluate_command(run: Path) -> list[str]:
    """`tmssl eval RUN --topk 10 100 --checkpoint last --json`."""
    return command("eval", str(run), "--topk", "10", "100", "--checkpoint", "last", "--json")


def resume_command(run: Path, epochs: int) -> list[str]:
    """`tmssl train --resume --run RUN --epochs N --detach`."""
    return command("train", "--resume", "--run", str(run), "--epochs", str(epochs), "--detach")
