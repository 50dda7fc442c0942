"""A corpus as large as L3D's training split: `python -m tests.bench.corpus FOLDER [--rows N]`.

Real logos (the PNGs of `diagrams`), each repeated with small changes, at 256 px in one tar with
L3D's `results.json`, or in another form. It is written in parts, so an interrupted build goes on; so
does the pack.
"""

import argparse
import dataclasses
import functools
import io
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import diagrams
from PIL import Image, ImageEnhance

from tests.bench.corpus_forms import FORMS, Sample, add, part_path, source_of, write_part

ROWS = 538_771
_PER_PART = 10_000
_POOL = ["27.05.01", "29.01.13", "26.04.02", "27.99.01", "26.11.12", "25.05.94", "26.01.03"]


@dataclasses.dataclass(frozen=True)
class Corpus:
    """What is drawn."""

    rows: int
    kind: str
    side: int
    """pixels of an image"""
    distinct: int
    """images that are drawn; each appears under many names where there are fewer than rows"""

    form: str = "l3d"
    """one of FORMS"""

    @property
    def name(self) -> str:
        """Of its files."""
        form = "" if self.form == "l3d" else f"-{self.form}"
        return f"{self.rows}-{self.kind}-{self.side}-{self.distinct}{form}"


def main() -> None:
    """Build the corpus, pack it, read it, and print what each took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="scratch: about 20 GB for all rows")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--distinct", type=int, default=0, help="images drawn; 0 draws one a row")
    parser.add_argument("--side", type=int, default=256, help="of an image, pixels")
    parser.add_argument("--image-size", type=int, default=224, help="that it is packed for")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--kind",
        choices=["png", "jpeg"],
        default="png",
        help="jpeg has noise around its edges, which packs badly",
    )
    parser.add_argument("--form", choices=FORMS, default="l3d")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    distinct = asked.distinct or asked.rows
    corpus = Corpus(asked.rows, asked.kind, asked.side, distinct, asked.form)
    source = (make if asked.form == "l3d" else make_parts)(folder, corpus, asked.workers)
    print(
        f"{asked.rows:,} rows of {asked.kind} at {asked.side} px as {asked.form}, {corpus.distinct:,} of them drawn, {asked.workers} workers",
        flush=True,
    )
    watched(["data", str(source), "--sample", "2000", "--json"], "tmssl data --sample 2000")
    out = watched(
        [
            "pack",
            str(source),
            "--image-size",
            str(asked.image_size),
            "--out",
            str(folder / f"pack-{corpus.name}-{asked.image_size}"),
            "--workers",
            str(asked.workers),
            "--json",
        ],
        f"tmssl pack at {asked.image_size} px",
    )
    facts = json.loads(out)
    print(
        f"  {facts['images']:,} images, {facts['mib']:,} MiB, {facts['images_s']} images/s of {facts['decoded']:,} decoded"
    )
    subprocess.run(
        [sys.executable, "-m", "tests.bench.corpus_reading", facts["folder"]], check=True
    )


def make(folder: Path, corpus: Corpus, workers: int) -> Path:
    """The tar of the corpus, from parts made by several processes."""
    target, rows = folder / f"corpus-{corpus.name}.tar", corpus.rows
    if target.is_file():
        return target
    parts = [folder / f"part-{corpus.name}-{begin:07d}" for begin in range(0, rows, _PER_PART)]
    jobs = [
        (part, begin, min(begin + _PER_PART, rows), corpus)
        for part, begin in zip(parts, range(0, rows, _PER_PART), strict=True)
        if not part.is_file()
    ]
    begun = time.monotonic()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for _ in pool.map(_write_part, *zip(*jobs, strict=True)) if jobs else ():
            pass
    print(f"drew {rows:,} images in {time.monotonic() - begun:.0f} s", flush=True)
    fresh = target.with_suffix(".new")
    labels: list[str] = []
    with tarfile.open(fresh, "w") as tar:
        for part in parts:
            with tarfile.open(part) as piece:
                for member in piece:
                    tar.addfile(member, piece.extractfile(member))
            labels.append(part.with_suffix(".labels").read_text())
        data = f"[{','.join(labels)}]".encode()
        info = tarfile.TarInfo("results.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    fresh.replace(target)
    for part in parts:
        part.unlink()
        part.with_suffix(".labels").unlink()
    return target


def make_parts(folder: Path, corpus: Corpus, workers: int) -> Path:
    """The corpus as files with a table or as shards, made by several processes."""
    home = folder / f"corpus-{corpus.name}"
    home.mkdir(exist_ok=True)
    parts = range(-(-corpus.rows // _PER_PART))
    missing = [n for n in parts if not part_path(corpus.form, home, n).is_file()]
    begun = time.monotonic()
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        for done in [pool.submit(_draw_part, home, number, corpus) for number in missing]:
            done.result()
    print(f"drew {corpus.rows:,} images in {time.monotonic() - begun:.0f} s", flush=True)
    return source_of(corpus.form, home, len(parts))


def _draw_part(home: Path, number: int, corpus: Corpus) -> None:
    """One part in its form."""
    begin = number * _PER_PART
    end = min(begin + _PER_PART, corpus.rows)
    write_part(corpus.form, home, number, _samples(begin, end, corpus))


def _samples(begin: int, end: int, corpus: Corpus) -> Iterator[Sample]:
    """Marks by number."""
    for number in range(begin, end):
        dice = random.Random(number)
        data = _image(number % corpus.distinct, corpus)
        name = f"{dice.getrandbits(128):032x}"
        own = f"{dice.randrange(1, 25):02d}.01.{dice.randrange(1, 20):02d}"
        codes = [*dice.sample(_POOL, dice.randrange(1, 4)), own]
        yield Sample(name, data, codes, f"MARK {number}", 1996 + number % 25)


def _write_part(part: Path, begin: int, end: int, corpus: Corpus) -> None:
    """Some images as a tar of their own, and their labels as L3D has them."""
    labels = []
    fresh = part.with_suffix(".new")
    with tarfile.open(fresh, "w") as tar:
        for number, one in enumerate(_samples(begin, end, corpus), begin):
            add(tar, f"images/{one.name}.jpg", one.data)
            row = {"file": f"{one.name.upper()}.JPG", "text": one.title}
            codes = one.codes if number % 4 else one.codes[0]
            labels.append(json.dumps({**row, "vienna_codes": codes, "year": one.year}))
    part.with_suffix(".labels").write_text(",".join(labels))
    fresh.replace(part)


@functools.lru_cache(maxsize=4096)
def _image(number: int, corpus: Corpus) -> bytes:
    """One of the drawn images, kept for the further parts of this process."""
    logos = _logos()
    return _drawn(logos[number % len(logos)], random.Random(number), corpus)


@functools.cache
def _logos() -> list[Path]:
    """The real logos."""
    return sorted((Path(diagrams.__file__).parents[1] / "resources").rglob("*.png"))


def _drawn(logo: Path, dice: random.Random, corpus: Corpus) -> bytes:
    """A logo on white, moved, scaled and coloured a little, as a file."""
    with Image.open(logo) as image:
        layered = image.convert("RGBA")
    size = dice.randrange(corpus.side // 2, corpus.side)
    layered.thumbnail((size, size))
    square = Image.new("RGB", (corpus.side, corpus.side), "white")
    place = tuple(dice.randrange(corpus.side - length + 1) for length in layered.size)
    square.paste(layered, (place[0], place[1]), layered)
    coloured = ImageEnhance.Color(square).enhance(dice.uniform(0.4, 1.6))
    file = io.BytesIO()
    jpeg = corpus.kind == "jpeg"
    how = {"quality": dice.randrange(75, 93)} if jpeg else {"compress_level": 1}
    coloured.save(file, corpus.kind, **how)
    return file.getvalue()


def watched(words: list[str], name: str) -> str:
    """Run a command, print its time and the peak of its whole tree's memory, return its stdout."""
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "cli", *words], stdout=subprocess.PIPE, text=True
    ) as child:
        peaks = [0, 0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(child.pid, peaks, done))
        watcher.start()
        out = child.communicate()[0]
        done.set()
        watcher.join()
    if child.returncode:
        raise SystemExit(child.returncode)
    print(
        f"{name}: {time.monotonic() - begun:.1f} s, peak {peaks[0] / 2**20:,.0f} MiB of the tree "
        f"(what is shared counted once), {peaks[1] / 2**20:,.0f} MiB of its first process",
        flush=True,
    )
    return out


def _watch(pid: int, peaks: list[int], done: threading.Event) -> None:
    """Raise `peaks` to the proportional set sizes of a process's tree and of itself."""
    while not done.wait(0.5):
        sizes = [_proportional(child) for child in process_tree(pid)]
        peaks[0] = max(peaks[0], sum(sizes))
        peaks[1] = max(peaks[1], _proportional(pid))


def process_tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, at = [pid], 0
    while at < len(found):
        for task in Path(f"/proc/{found[at]}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:  # it has just ended
                continue
        at += 1
    return found


def _proportional(pid: int) -> int:
    """Bytes of a process, what it shares divided by its sharers; file pages of a map not counted."""
    try:
        rows = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        )
    except OSError:  # it has just ended
        return 0
    return 1024 * int(rows["Pss"].split()[0])


if __name__ == "__main__":
    main()
