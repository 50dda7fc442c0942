"""What 538,771 marks take, by a measured tenth of them: `python -m tests.bench.tenth FOLDER [--marks N]`.

Toy marks are drawn, packed, trained on with the default settings, indexed and searched, each by the program
that a person runs, on a CPU. Prints as Markdown what each stage takes, and what it would for all marks of L3D's
training split. CPU seconds stand beside wall seconds, since other work on the machine lengthens those alone.

Figures of a stage are kept in FOLDER/figures.json, so an interrupted command goes on behind the last
whole stage; training goes on where it was, and its figures are then of the newest part, extended to all. Of the epochs
three are trained.
"""

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tests.bench.corpus import ROWS, process_tree
from tests.bench.tenth_table import Figures, table
from tmssl.config import Config, changed, write_config
from tmssl.runs.events import Segment, Step, Views
from tmssl.runs.folder import Run, create_run
from tmssl.runs.journal import read_journal
from tmssl.runs.launch import BRIEF_VARIABLE

FACTORY = "IVF1024,SQ8;nprobe=32"
SMALL_FACTORY = "IVF64,SQ8;nprobe=8"
_EPOCHS = 3  # that are trained; their time is extended to the default epochs
_LOOK_S = 0.25  # between looks at a process
_TICK = os.sysconf("SC_CLK_TCK")
_FEW = 39_936  # vectors that 1,024 lists need to be trained on, by faiss

Sample = tuple[float, float, float]
"""Unix time, CPU seconds so far, bytes of memory"""


def main() -> None:
    """Measure what has not been measured yet, and print the table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path, help="scratch: about 2 GB for a tenth")
    words.add_argument("--marks", type=int, default=ROWS // 10)
    words.add_argument(
        "--views-minutes", type=float, default=0, help="of views; the rest by proportion; 0: all"
    )
    words.add_argument("--drawn", type=int, default=0, help="of the marks; each has several names")
    asked = words.parse_args()
    asked.drawn = asked.drawn or asked.marks
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "figures.json"
    known: dict[str, Figures] = {}
    if kept.is_file():
        known = msgspec.json.decode(kept.read_bytes(), type=dict[str, Figures])
    for name, measure in stages(folder, asked).items():
        if name not in known:
            print(f"{name} ...", file=sys.stderr, flush=True)
            for part, figures in measure():
                known[part] = figures
                print(f"  {part}: {figures}", file=sys.stderr, flush=True)
            known.setdefault(name, Figures(units=0))
            kept.write_bytes(msgspec.json.encode(known))
    print(table(known, asked.marks))


def stages(
    folder: Path, asked: argparse.Namespace
) -> dict[str, Callable[[], Iterator[tuple[str, Figures]]]]:
    """What is measured, in order; each gives the figures of its parts."""
    return {
        "drawing": lambda: drawing(folder, asked.marks, asked.drawn),
        "packing": lambda: packing(folder, asked.marks),
        "training": lambda: training(folder, 60 * asked.views_minutes),
        "indexing": lambda: indexing(folder, asked.marks),
    }


def drawing(folder: Path, marks: int, drawn: int) -> Iterator[tuple[str, Figures]]:
    """The toy marks, extended to as many drawings as marks."""
    samples, _ = watched(["tests.bench.tenth_marks", str(folder), str(marks), str(drawn)])
    disk = size_of(folder / "marks") * marks // drawn
    yield "drawing", figures_of(samples, drawn).extended(marks, disk=disk)


def packing(folder: Path, marks: int) -> Iterator[tuple[str, Figures]]:
    """The pack of all of them."""
    size = str(Config().data.image_size)
    words = ["cli", "pack", str(folder / "marks.csv"), "--image-size", size]
    samples, out = watched([*words, "--out", str(folder / "pack"), "--json"])
    packed = json.loads(out)["images"]
    assert packed == marks, f"{packed:,} of {marks:,} marks are in the pack"
    yield "packing", figures_of(samples, marks, disk=size_of(folder / "pack"))


def training(folder: Path, views_s: float) -> Iterator[tuple[str, Figures]]:
    """A run with the default settings, cut where its journal says that a phase ends.

    After `views_s` seconds of views, unless 0, the steps begin, and read blanks where none is yet.
    """
    run = Run(folder / "runs" / "tenth")
    if not run.config.is_file():
        run = create_run(folder / "runs", "tenth")
        places = {"data.source": str(folder / "marks.csv"), "data.pack": str(folder / "pack")}
        settings = {**places, "device": "cpu", "epochs": _EPOCHS}
        write_config(changed(Config(), settings), run.config)
    brief = {BRIEF_VARIABLE: str(views_s)} if views_s else {}
    samples, _ = watched(["tmssl.training", str(run.path)], brief)
    events = read_journal(run.journal)
    begun = [event for event in events if isinstance(event, Segment)][-1]
    views = [
        event for event in events if isinstance(event, Views) and event.segment == begun.number
    ]
    steps = [event for event in events if isinstance(event, Step) and event.step > begun.step]
    first, last, end = views[0], views[-1], steps[-1]
    yield "axes", figures_of(samples, 1, until=begun.t)
    computed = last.done - last.found
    cached = figures_of(samples, computed, since=first.t, until=last.t)
    yield "views", cached.extended(last.total, disk=round((last.gib or 0.0) * 2**30))
    trained = figures_of(samples, end.step - begun.step, since=last.t)
    every = Config().train.epochs * begun.steps_per_epoch
    yield "steps", trained.extended(every, disk=size_of(run.checkpoints))


def indexing(folder: Path, marks: int) -> Iterator[tuple[str, Figures]]:
    """Searches: the first one embeds and indexes all marks, a later one does not."""
    run = Run(folder / "runs" / "tenth")
    logo = folder / "marks" / "images" / "000007.png"
    words = ["cli", "search", str(logo), "--run", str(run.path), "--json"]
    for file in run.index.glob("*"):
        file.unlink()
    first, _ = watched(words)
    kept = sum(path.stat().st_size for path in run.index.glob("*.faiss"))
    yield "embedding", figures_of(first, marks, disk=kept)
    again, _ = watched(words)
    yield "search", figures_of(again, 1)
    factory = FACTORY if marks >= _FEW else SMALL_FACTORY
    cache = {"TMSSL_CACHE": str(folder / "cache")}
    approximate, _ = watched([*words, "--index", factory], cache)
    yield "approximate", figures_of(approximate, marks, disk=size_of(folder / "cache"))
    again, _ = watched([*words, "--index", factory], cache)
    yield "approximate search", figures_of(again, 1)


def watched(
    words: list[str], environment: dict[str, str] | None = None
) -> tuple[list[Sample], str]:
    """Run a module; what its processes took by the time, and its stdout."""
    samples: list[Sample] = [(time.time(), 0.0, 0.0)]
    done = threading.Event()
    with subprocess.Popen(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    ) as child:
        watcher = threading.Thread(target=_watch, args=(child.pid, samples, done))
        watcher.start()
        assert child.stdout is not None
        out = child.stdout.read()
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
    if child.returncode:
        raise SystemExit(f"{' '.join(words)} ended with code {child.returncode}")
    # The system counts no children of a server of processes, and looks miss the end of each process.
    samples.append((time.time(), max(samples[-1][1], used.ru_utime + used.ru_stime), 0.0))
    return samples, out


def _watch(pid: int, samples: list[Sample], done: threading.Event) -> None:
    """Append what a process and all below it have taken, until it is done."""
    while not done.wait(_LOOK_S):
        tree = process_tree(pid)
        cpu_s, memory = sum(map(_cpu_s, tree)), sum(map(_own_bytes, tree))
        samples.append((time.time(), max(cpu_s, samples[-1][1]), memory))


def _cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its ended children."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return 0.0
    return sum(map(int, fields[11:15])) / _TICK


def _own_bytes(pid: int) -> float:
    """Memory of a process without mapped files, which the system takes back when it needs to."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it has just ended
        return 0.0
    rows = dict(line.split(":", 1) for line in lines)
    return sum(
        1024.0 * int(rows[name].split()[0]) for name in ("RssAnon", "RssShmem") if name in rows
    )


def figures_of(
    samples: list[Sample],
    units: int,
    *,
    since: float = 0.0,
    until: float = float("inf"),
    disk: int = 0,
) -> Figures:
    """What was taken between two Unix times, by the samples nearest to them."""
    within = [each for each in samples if since <= each[0] <= until] or samples[-1:]
    before = [each for each in samples if each[0] < since][-1:] or within[:1]
    return Figures(
        units=units,
        wall_s=min(until, within[-1][0]) - max(since, before[0][0]),
        cpu_s=within[-1][1] - before[0][1],
        memory=max(each[2] for each in within),
        disk=disk,
    )


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    main()
