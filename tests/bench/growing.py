"""What adding marks to a gallery takes, and that it finds what a rebuilt one finds: `python -m tests.bench.growing FOLDER`.

Small marks are drawn into archives of 100,000 and 10,000. A run indexes the first, `tmssl add` and `tmssl remove`
do their work on it, and another run packs and indexes both archives anew. Prints CPU seconds of each stage, embedding
apart, and how many vectors and found lists differ, as Markdown.
"""

import argparse
import io
import resource
import shutil
import tarfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.helpers.tiny_run import tiny_run
from tmssl.config import changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.edits import addition, removal
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.specification import join_sources
from tmssl.retrieval.index.exact import half_vectors, search_many
from tmssl.retrieval.search.changing import change_gallery
from tmssl.retrieval.search.gallery import Gallery, open_gallery
from tmssl.runs.folder import Run

SIZE = 32  # of a view, pixels
SIDE = 16  # of a drawn mark, pixels
QUERIES, TOPK = 500, 100


class Stages:
    """CPU and wall seconds of named stages."""

    def __init__(self) -> None:
        self._cpu: defaultdict[str, float] = defaultdict(float)
        self._wall: defaultdict[str, float] = defaultdict(float)
        self._name = ""
        self._begun = (0.0, 0.0)

    def begin(self, name: str) -> None:
        """End the stage before, and begin one."""
        now = cpu_s(), time.monotonic()
        if self._name:
            self._cpu[self._name] += now[0] - self._begun[0]
            self._wall[self._name] += now[1] - self._begun[1]
        self._name, self._begun = name, now

    @contextmanager
    def of(self, work: str) -> Iterator[Callable[[str], None]]:
        """A piece of work, by phases."""
        self.begin(work)
        yield lambda name: self.begin(f"{work}: {name}")
        self.begin("")

    def rows(self) -> list[str]:
        """A row of a table for each stage."""
        return [
            f"| {name} | {self._cpu[name]:.1f} | {self._wall[name]:.1f} |" for name in self._cpu
        ]


def cpu_s() -> float:
    """CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def draw_archive(path: Path, first: int, count: int) -> Path:
    """A tar of so many marks of a few rectangles each, with a table of their ids."""
    table = io.BytesIO(
        b"path,id,vienna\n"
        + b"".join(
            b"%07d.png,m%d,%02d.01\n" % (i, i, 1 + i % 28) for i in range(first, first + count)
        )
    )
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("labels.csv")
        entry.size = len(table.getvalue())
        archive.addfile(entry, table)
        for number in range(first, first + count):
            dice = np.random.default_rng(number)
            pixels = np.full((SIDE, SIDE, 3), 255, np.uint8)
            for left, top, width, height in dice.integers(1, 11, (4, 4)).tolist():
                pixels[top : top + height // 2 + 1, left : left + width // 2 + 1] = dice.integers(
                    0, 200, 3
                )
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "png", compress_level=1)
            entry = tarfile.TarInfo(f"{number:07d}.png")
            entry.size = png.tell()
            png.seek(0)
            archive.addfile(entry, png)
    return path


def copied_run(run: Run, to: Path, pack: Pack) -> Run:
    """A copy of a run that searches a pack."""
    shutil.copytree(run.path, to)
    copy = Run(to)
    write_config(changed(read_config(copy.config), {"data.pack": str(pack.folder)}), copy.config)
    return copy


def differences(ours: Gallery, anew: Gallery) -> dict[str, int]:
    """How many marks, vectors and lists differ between two galleries."""
    vectors = half_vectors(ours.index.exact).numpy(), half_vectors(anew.index.exact).numpy()
    rows = np.random.default_rng(0).choice(anew.pack.count, QUERIES, replace=False)
    queries = vectors[1][rows].astype(np.float32)
    found = [search_many(one.index.exact, queries, TOPK) for one in (ours, anew)]
    same = (found[0][1] == found[1][1]) & (found[0][0] == found[1][0])
    ids = [one.marks.column("id", str, "") for one in (ours, anew)]
    return {
        "marks": sum(a != b for a, b in zip(*ids, strict=True)),
        "vectors": int((vectors[0] != vectors[1]).any(1).sum()),
        f"lists of {TOPK} for {QUERIES} queries": int((~same).any(1).sum()),
    }


def main() -> None:
    """Measure, compare, and print."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("folder", type=Path, help="scratch, which must not exist")
    words.add_argument("--marks", type=int, default=100_000)
    words.add_argument("--added", type=int, default=10_000)
    asked = words.parse_args()
    folder: Path = asked.folder.resolve()
    folder.mkdir(parents=True)
    torch.set_num_threads(1)
    stages = Stages()
    first = draw_archive(folder / "first.tar", 0, asked.marks)
    second = draw_archive(folder / "second.tar", asked.marks, asked.added)
    trained, size = tiny_run(folder / "tiny", 40), pack_size(SIZE)
    with stages.of("the first archive") as phase:
        pack = build_pack(read_catalogue(first), folder / "first", size, workers=1)
        run = copied_run(trained, folder / "grown", pack)
        open_gallery(run, phase=phase)
    with stages.of("add") as phase:
        source = read_catalogue(second)
        change_gallery(run, lambda pack: addition(pack, source).edit, workers=1, phase=phase)
    with stages.of("rebuilt") as phase:
        both = build_pack(
            read_catalogue(join_sources([first, second])), folder / "both", size, workers=1
        )
        anew = open_gallery(copied_run(trained, folder / "anew", both), phase=phase)
    told = {f"added, {name}": n for name, n in differences(open_gallery(run), anew).items()}
    gone = [f"m{i}" for i in range(asked.marks, asked.marks + asked.added)]
    with stages.of(f"remove {len(gone)}") as phase:
        change_gallery(run, lambda pack: removal(pack, gone, None, ""), phase=phase)
    alone = open_gallery(copied_run(trained, folder / "alone", pack))
    told |= {
        f"removed again, {name}": n for name, n in differences(open_gallery(run), alone).items()
    }
    lines = ["| stage | CPU s | wall s |", "|---|---|---|", *stages.rows()]
    lines += ["", "| what differs from a rebuilt gallery | number |", "|---|---|"]
    lines += [f"| {name} | {number} |" for name, number in told.items()]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
