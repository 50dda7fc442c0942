"""A thousand runs in the monitor's list: `python -m tests.bench.many_runs [--runs 1000] [--steps 300]`.

Keys are timed through a pseudo-terminal, from the key to the first byte that answers it. Run it on a quiet machine.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.monitor import make_run
from tests.helpers.terminal import Terminal

_SIZES = ((80, 24), (120, 40), (200, 60))
_IDLE_S = 20.0


def make_runs(folder: Path, runs: int, steps: int) -> None:
    """Runs of the same journal under different names."""
    first = make_run(folder, "run-0000", steps)
    for number in range(1, runs):
        shutil.copytree(first.path, folder / f"run-{number:04}")


def key_times_ms(terminal: Terminal, keys: list[bytes]) -> list[float]:
    """Milliseconds from each key to the first byte that the terminal gets after it."""
    found = []
    for key in keys:
        before, begun = len(terminal.bytes), time.monotonic()
        terminal.type(key)
        terminal.wait_until(lambda before=before: len(terminal.bytes) > before, "an answer")  # type: ignore[misc]  # a default binds the count
        found.append(1000 * (time.monotonic() - begun))
        time.sleep(0.3)
    return found


def cpu_s(process: int) -> float:
    """Seconds of a core that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(what: str, found: list[float]) -> None:
    """A line of the table."""
    print(f"  {what:22} median {statistics.median(found):6.0f} ms, worst {max(found):6.0f} ms")


def measure(folder: Path, size: tuple[int, int]) -> None:
    """Keys and idleness of the list at one size."""
    command = [sys.executable, "-m", "cli", "watch", "--runs", str(folder)]
    begun = time.monotonic()
    terminal = Terminal(command, size=size)
    terminal.shows("run-0")
    print(f"{size[0]}x{size[1]}: first rows after {time.monotonic() - begun:.2f} s")
    time.sleep(8)
    say("up or down", key_times_ms(terminal, [b"\x1b[B", b"\x1b[A"] * 15))
    say("page up or down", key_times_ms(terminal, [b"\x1b[6~", b"\x1b[5~"] * 4))
    say("filter, a letter", key_times_ms(terminal, [b"/", b"9", b"9", b"\x7f", b"\x7f"]))
    time.sleep(3)
    before = cpu_s(terminal.process.pid)
    time.sleep(_IDLE_S)
    idle = (cpu_s(terminal.process.pid) - before) / _IDLE_S
    print(f"  idle                   {100 * idle:.2f} % of a core")
    terminal.close()


def main() -> None:
    """Measure `tmssl runs` and the monitor's list."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--runs", type=int, default=1000)
    given.add_argument("--steps", type=int, default=300, help="journaled steps of each run")
    told = given.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_STATE_HOME"] = str(Path(name) / "state")
        folder = Path(name) / "runs"
        make_runs(folder, told.runs, told.steps)
        begun = time.monotonic()
        command = [sys.executable, "-m", "cli", "runs", "--runs", str(folder)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = used.ru_utime + used.ru_stime
        print(f"tmssl runs, {told.runs} runs: {time.monotonic() - begun:.1f} s, {cpu:.1f} s of CPU")
        for size in _SIZES:
            measure(folder, size)


if __name__ == "__main__":
    main()
