"""What the monitor promises, measured: `python -m tests.bench.monitor [--lines 1000000] [--folder DIR]`.

Everything that is seen is seen through a pseudo-terminal, as a person's terminal would; parsing stands beside
Python's `json` and TensorBoard's event loader on the same figures. Run it on a quiet machine.
"""

import argparse
import itertools
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.helpers.kitty import KittyGrid
from tests.helpers.retrieved import retrieved_run
from tests.helpers.terminal import Terminal, watch
from tmssl.config import Config, changed, to_dict, write_config
from tmssl.runs.events import Epoch, Segment, Started, Step
from tmssl.runs.folder import Run, create_run, hold_lock
from tmssl.runs.history import History
from tmssl.runs.journal import JournalWriter, Tail, encode, sample
from tui.charts.curves import ColumnCache
from tui.charts.run_charts import OverlayRun, RenderRequest, render_charts
from tui.charts.view_state import ViewState
from tui.options import FULL
from tui.pictures.ways import CELLS, PIXELS

_PER_EPOCH = 1000
_HUNDRED_THOUSAND = 100_000
_STATUS = 39  # the row of what actions say, at 120x40


def step(number: int, of: int, dice: random.Random, t: float) -> Step:
    """A step of a loss that falls with noise."""
    share = number / of
    loss = 1.7 + 3.8 * math.exp(-4 * share) + dice.gauss(0, 0.08)
    return Step(
        step=number,
        epoch=number / _PER_EPOCH,
        loss=loss,
        ce=1.2 * loss,
        top1=1 - math.exp(-3 * share),
        lr=0.05 * (1 + math.cos(math.pi * share)),
        momentum=0.99 + 0.01 * share,
        grad_norm=1 + abs(dice.gauss(0, 0.3)),
        feature_std=0.9,
        img_s=1000 + dice.gauss(0, 20),
        data_s=0.01,
        step_s=0.1,
        mem_gib=7.2,
        gpu_util=0.91,
        t=t,
    )


def make_run(folder: Path, name: str, steps: int) -> Run:
    """A run of so many logged steps."""
    run = create_run(folder, name)
    epochs = math.ceil(1.2 * steps / _PER_EPOCH)
    config = changed(Config(), {"epochs": epochs, "lr": 0.1})
    write_config(config, run.config)
    dice = random.Random(0)
    with run.journal.open("wb") as file:
        file.write(encode(Started(name=name, device="a GPU")))
        file.write(
            encode(
                Segment(
                    config=dict(to_dict(config)),
                    chance=5.545,
                    solved=1.6,
                    chance_ce=6.93,
                    batch_size=1024,
                    steps_per_epoch=_PER_EPOCH,
                    epochs=epochs,
                    t=1e9,
                )
            )
        )
        for number in range(1, steps + 1):
            file.write(encode(step(number, steps, dice, 1e9 + number / 10)))
            if number % _PER_EPOCH == 0:
                file.write(
                    encode(Epoch(epoch=number // _PER_EPOCH, step=number, loss=2.0, seconds=100.0))
                )
    return run


def best_of(count: int, action: Callable[[], object]) -> float:
    """Least seconds of so many tries."""
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        action()
        found.append(time.perf_counter() - begun)
    return min(found)


def say(what: str, measured: str, target: str = "") -> None:
    """A line of the table."""
    print(f"{what:58} {measured:>22}  {target}", flush=True)


def read_all(run: Run) -> History:
    """The history in slices, as the monitor reads it."""
    tail, history = Tail(run.journal), History()
    while tail.behind:
        history.add(tail.poll(128 << 10)[0])
    return history


def parsing(run: Run, folder: Path) -> None:
    """The same figures by tmssl, json and TensorBoard."""
    lines = run.journal.read_bytes().splitlines()
    say(
        "first look at 100,000 lines (a sample)", f"{best_of(3, lambda: sample(run.journal)):.3f} s"
    )
    say("read 100,000 lines into columns", f"{best_of(3, lambda: read_all(run)):.2f} s")
    say(
        "  json.loads of each line, kept nowhere",
        f"{best_of(2, lambda: [json.loads(l) for l in lines]):.2f} s",
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    writer = EventFileWriter(str(folder / "events"))
    names = ("loss", "ce", "top1", "lr", "momentum", "grad_norm", "feature_std", "img_s")
    for line in lines:
        told = json.loads(line)
        if told["kind"] == "step":
            values = [Summary.Value(tag=name, simple_value=told[name]) for name in names]
            writer.add_event(
                Event(wall_time=told["t"], step=told["step"], summary=Summary(value=values))
            )
    writer.close()

    def load() -> None:
        EventAccumulator(str(folder / "events"), size_guidance={"scalars": 0}).Reload()

    say(
        f"  TensorBoard's EventAccumulator, {len(names)} of 16 figures", f"{best_of(1, load):.2f} s"
    )


def drawing(run: Run) -> None:
    """A redraw of four series of 100,000 points, and of all charts at 200x60."""
    history = read_all(run)
    others = tuple(OverlayRun(run) for _ in range(3))
    for other in others:
        while other.behind:
            other.read()
    cache = ColumnCache()

    def draw(sizes: dict[str, tuple[int, int]], beside: tuple[OverlayRun, ...]) -> float:
        request = RenderRequest("r", history, ViewState(), sizes, FULL, beside)
        render_charts(request, cache)
        return 1000 * best_of(5, lambda: render_charts(request, cache))

    one = draw({"loss": (120, 30)}, others)
    say("redraw of 100,000 points x 4 series at 120x30", f"{one:.1f} ms", "<= 50 ms")
    names = ("loss", "lr", "top1", "grad", "spread", "hits", "momentum")
    say(
        "redraw of seven charts of 100,000 points",
        f"{draw(dict.fromkeys(names, (66, 18)), ()):.1f} ms",
    )


def commands() -> None:
    """How soon a word comes."""
    for words, target in ((("--version",), 120), (("--help",), 150)):
        command = [sys.executable, "-m", "cli", *words]
        took = best_of(5, partial(subprocess.run, command, check=True, capture_output=True))
        say(f"tmssl {words[0]}", f"{1000 * took:.0f} ms", f"<= {target} ms")


@contextmanager
def opened(
    run: Run,
    *words: str,
    size: tuple[int, int] = (120, 40),
    answers_after_s: float | None = None,
    ignore_hangup: bool = False,
) -> Iterator[Terminal]:
    """The monitor in a terminal, its curves drawn."""
    terminal = Terminal(
        watch(run.path, *words),
        size=size,
        answers_after_s=answers_after_s,
        ignore_hangup=ignore_hangup,
    )
    try:
        terminal.shows("smoothed")
        yield terminal
    finally:
        terminal.close()


def first_paint(run: Run, lines: int) -> None:
    """Start to the newest figures, and to the curves."""
    words, curves = [], []
    for _ in range(3):
        terminal = Terminal(watch(run.path), size=(120, 40))
        words.append(terminal.shows("img/s"))
        curves.append(terminal.shows("smoothed"))
        terminal.close()
    say(
        f"start to the newest figures, {lines:,} lines",
        f"{min(words):.2f} s",
        "<= 0.7 s at 100,000",
    )
    say("  and to the curves", f"{min(curves):.2f} s")


def keys(terminal: Terminal, count: int, pause_s: float) -> list[float]:
    """Seconds from a key to its words on the terminal, for keys that smooth more and less in turn."""
    found = []
    for place in range(count):
        key, told = ((b"+", "smoothing 0.95"), (b"-", "smoothing 0.9 "))[place % 2]
        begun = time.monotonic()
        terminal.type(key)
        terminal.wait_until(lambda told=told: told in terminal.grid.line(_STATUS), told)  # type: ignore[misc]  # a default binds the words
        found.append(time.monotonic() - begun)
        time.sleep(pause_s)
    return found


def key_latency(run: Run, large: Run, lines: int) -> None:
    """Keys while nothing happens, and while a large journal is read."""
    with opened(run) as terminal:
        time.sleep(4)
        say("key to frame, all read", *told_ms(keys(terminal, 60, 0.1)))
    os.environ["XDG_STATE_HOME"] += "-anew"  # the first has remembered its smoothing
    with opened(large) as terminal:
        found: list[float] = []
        while "a sample is shown" in terminal.grid.line(1):
            found += keys(terminal, 4, 0.03)
        what = f"key to frame while {lines:,} lines are read"
        say(what, *(told_ms(found) if found else ("read before a key was pressed", "more --lines")))


def told_ms(found: list[float]) -> tuple[str, str]:
    """Median and 95th percentile, and the target."""
    ordered = sorted(1000 * one for one in found)
    high = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
    return f"{statistics.median(ordered):.0f}, p95 {high:.0f} ms (n {len(ordered)})", "p95 <= 50 ms"


def link(folder: Path) -> None:
    """Bytes per second at the terminal, idle and with ten steps a second."""
    dice = random.Random(1)
    for words, size, target in (
        ((), (120, 40), "<= 5"),
        (("--low-bandwidth",), (120, 40), "<= 1"),
        ((), (80, 24), ""),
        ((), (200, 60), ""),
    ):
        run = make_run(folder, f"link-{len(words)}-{size[0]}", 3000)
        with hold_lock(run), opened(run, *words, size=size) as terminal:
            time.sleep(5)
            begun = len(terminal.bytes)
            time.sleep(10)
            idle = (len(terminal.bytes) - begun) / 10
            journal, begun = JournalWriter(run.journal), len(terminal.bytes)
            for number in range(3001, 3301):
                journal.write(step(number, 4000, dice, time.time()))
                time.sleep(0.1)
            steady = (len(terminal.bytes) - begun) / 30
            journal.close()
        name = f"{size[0]}x{size[1]} {' '.join(words)}"
        say(
            f"link {name}, ten steps a second",
            f"{steady / 1000:.2f} kB/s",
            target and f"{target} kB/s",
        )
        if size == (120, 40):
            say(f"link {name}, idle", f"{idle / 1000:.2f} kB/s", "<= 0.5 kB/s")


def pages(folder: Path) -> None:
    """Matches as pictures: what a page costs the link at first and again, and how soon its words are there."""
    run = retrieved_run(folder)
    sizes = {(80, 24): 9.4, (120, 40): 10.4, (200, 60): 20.7}
    for way, (size, most) in itertools.product((*CELLS, PIXELS), sizes.items()):
        terminal = Terminal(watch(run.path, "--pictures", way), size=size, grid=KittyGrid())
        terminal.shows("epoch 6")
        terminal.type(b"m")
        terminal.shows("query 1/4")
        took, sent = [], []
        for number in (2, 3, 4, 1, 2, 3, 4):
            time.sleep(1.5)  # so that the page before is whole
            before, begun = len(terminal.bytes), time.monotonic()
            terminal.type(b"n")
            terminal.shows(f"query {number}/4")
            took.append(time.monotonic() - begun)
            time.sleep(1.5)
            sent.append(len(terminal.bytes) - before)
        terminal.close()
        told = f"{max(sent[:3]) / 1000:.1f}, again {max(sent[3:]) / 1000:.1f} kB"
        say(f"a page of matches, {size[0]}x{size[1]}, {way}", told, f"<= {most} kB in cells")
        say("  key to page", f"{1000 * statistics.median(took):.0f} ms", "<= 150 ms")


def soak(folder: Path, seconds: float) -> tuple[int, float, float]:
    """Steps written at a hundred a second while the monitor watches; its memory then, and its growth, MiB."""
    run, dice, found, written = make_run(folder, "soak", 3000), random.Random(2), [], 0
    with hold_lock(run), opened(run) as terminal:
        journal = JournalWriter(run.journal)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(10):
                written += 1
                journal.write(step(3000 + written, 1_000_000, dice, time.time()))
            time.sleep(0.1)
            found.append(resident_mib(terminal.process.pid))
        journal.close()
    settled, most = found[len(found) // 4], max(found[-20:])
    return written, most, most - settled


def resident_mib(process: int) -> float:
    """What a process holds in memory."""
    pages_held = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages_held * os.sysconf("SC_PAGE_SIZE") / 2**20


def questions(run: Run) -> None:
    """What the terminal is asked, and what is left to read."""
    for seconds in (0.0, 0.3, 2.0):
        with opened(run, answers_after_s=seconds) as terminal:
            time.sleep(seconds + 0.5)
            terminal.leave()
            left = len(terminal.left_to_read())
            say(
                f"questions and stray bytes, {1000 * seconds:.0f} ms round trip",
                f"{len(terminal.asked)}, {left}",
                "0, 0",
            )


def ends(run: Run) -> None:
    """A trainer that dies, and a terminal that goes."""
    with hold_lock(run):
        terminal = Terminal(watch(run.path), size=(80, 24))
        terminal.shows("running")
        time.sleep(2)
    begun = time.monotonic()
    terminal.shows("vanished")
    say("dead trainer shown after", f"{time.monotonic() - begun:.2f} s", "<= 15 s")
    terminal.close()
    with opened(run, ignore_hangup=True) as terminal:
        begun = time.monotonic()
        threading.Thread(target=terminal.hang_up).start()
        terminal.process.wait(20)
        say(
            "orphan gone after a hang-up, SIGHUP ignored",
            f"{time.monotonic() - begun:.2f} s",
            "<= 5 s",
        )


def main() -> None:
    """Measure all of it."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--lines", type=int, default=1_000_000)
    given.add_argument("--folder", type=Path)
    given.add_argument("--soak", type=float, default=120, help="seconds that memory is watched for")
    told = given.parse_args()
    with tempfile.TemporaryDirectory(dir=told.folder) as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")  # how a person likes the monitor
        run = make_run(folder / "runs", "hundred-thousand", _HUNDRED_THOUSAND)
        large = make_run(folder / "runs", "large", told.lines)
        commands()
        parsing(run, folder)
        drawing(run)
        first_paint(run, _HUNDRED_THOUSAND)
        first_paint(large, told.lines)
        key_latency(run, large, told.lines)
        link(folder / "links")
        pages(folder / "retrieved")
        written, most, grown = soak(folder / "soak", told.soak)
        say(f"memory after {written:,} more steps", f"{most:.0f} MiB, {grown:+.1f}", "<= +20 MiB")
        questions(run)
        ends(run)


if __name__ == "__main__":
    main()
