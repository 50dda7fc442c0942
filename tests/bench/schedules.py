"""What an extension costs: `python -m tests.bench.schedules [toy|logos ...]`, one core, a minute or two each.

Trains the head as `tmssl train` does by default, to the same epoch under four plans, and prints as Markdown
the final cross-entropy and what the encoder finds. An extended run is planned to 60 % of the epochs, trained
to that end, and resumed to the later one; under `wsd` that goes back to the last checkpoint before the decay.
On toy marks a query is a mark that was not trained on, and right is where the nearest of all is of its
group. The logos and icons that `diagrams` ships have no groups; there 100 are changed in each of the ways of
`tmssl eval --robustness`, and right is where the nearest of all is the unchanged one. Runs of one seed share
their cached views.
"""

import argparse
import math
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cli.start import planned_resume
from tests.bench.ablation import sources
from tests.bench.known import Grids, core_seconds
from tests.bench.known_items import find
from tests.bench.trained import trained_run
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.robustness import CHANGES
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.grid import GridEncoder
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags
from tmssl.types import Indices, Vectors

PLANS = {
    "cosine": ("cosine", False),
    "cosine, extended at 60 %": ("cosine", True),
    "WSD": ("wsd", False),
    "WSD, extended at 60 %": ("wsd", True),
}
_QUERIES = 100

Judge = Callable[[GridEncoder], tuple[float, float]]
"""An encoder's hit@1 and mAP."""


def _some(marks: Path, folder: Path, count: int) -> Path:
    """Of a folder of more images so many, drawn by chance, copied to another folder; else the folder."""
    images = sorted(marks.rglob("*.png"))
    if len(images) <= count:
        return marks
    folder.mkdir()
    for number in np.random.default_rng(0).permutation(len(images))[:count].tolist():
        shutil.copy(images[number], folder / f"{number:05d}.png")
    return folder


def of_groups(pack: Pack, grids: Grids) -> Judge:
    """Whether the nearest of all marks is of the group, of the marks that are kept for validation."""
    marks = list(pack.marks)
    held = np.array([mark.split == "validation" for mark in marks])

    def judge(encoder: GridEncoder) -> tuple[float, float]:
        found = find(grids.described(encoder), marks)
        kept = held[found.rows]
        return float(found.hits[kept].mean()), float(found.precision[kept].mean())

    return judge


def of_copies(pack: Pack, grids: Grids, folder: Path) -> Judge:
    """Whether the nearest of all marks is the query itself as it was before a change."""
    rows = np.sort(np.random.default_rng(0).choice(pack.count, _QUERIES, replace=False))
    for name, change in CHANGES.items():
        (folder / name).mkdir(parents=True)
        for row, image in zip(rows, pack.read(rows), strict=True):
            change(Image.fromarray(image)).save(folder / name / f"{row}.png")
    copies = build_pack(read_catalogue(folder), folder.with_suffix(".pack"), pack.size, workers=1)
    originals = np.array([int(Path(mark.path).stem) for mark in copies.marks], np.int64)
    changed_grids = Grids(copies, grids.size)

    def judge(encoder: GridEncoder) -> tuple[float, float]:
        queries, gallery = changed_grids.described(encoder), grids.described(encoder)
        return found_copies(queries, gallery, originals)

    return judge


def found_copies(queries: Vectors, gallery: Vectors, originals: Indices) -> tuple[float, float]:
    """hit@1 and mAP where each query (q, f) has one right mark of the gallery (n, f); ties count against."""
    near = queries @ gallery.T
    own = near[np.arange(len(near)), originals]
    ranks = (near >= own[:, None]).sum(1)
    return float((ranks == 1).mean()), float((1 / ranks).mean())


def trained_to(config: Config, folder: Path, *, extended: bool) -> Run:
    """A run that has trained to the epochs of its settings, in two parts if `extended`."""
    epochs = config.train.epochs
    begun = round(0.6 * epochs) if extended else epochs
    run, _ = trained_run(changed(config, {"epochs": begun}), folder)
    if extended:
        plan = planned_resume(run, {"train.epochs": epochs})
        assert plan is not None
        write_config(plan.config, run.config)
        train(run, SignalFlags())
    return run


def measure(data: str, folder: Path, asked: argparse.Namespace) -> None:
    """Print the table of one source."""
    config = changed(
        Config(),
        {
            "device": "cpu",
            "keep_every": 0,
            "batch_size": asked.batch_size,
            "epochs": asked.epochs,
            "warmup_epochs": 2.0,
            "cached_views": asked.cached_views,
        },
    )
    size = config.data.image_size
    pack = build_pack(
        read_catalogue(_some(sources(data, folder, asked.marks), folder / "some", asked.marks)),
        folder / data,
        pack_size(size),
        workers=1,
    )
    grids = Grids(pack, size)
    judge = of_groups(pack, grids) if data == "toy" else of_copies(pack, grids, folder / "copies")
    before = judge(grids.untrained_encoder((3, 4)))
    print(
        f"{data}: {pack.count:,} marks, {asked.epochs} epochs in batches of {asked.batch_size}, chance "
        f"{math.log(asked.batch_size):.3f} nats\n\n| | steps trained | cross-entropy, nats | hit@1 | mAP |\n"
        f"|---|---|---|---|---|\n| before training | 0 | | {before[0]:.3f} | {before[1]:.3f} |",
        flush=True,
    )
    for name, (schedule, extended) in PLANS.items():
        losses, hits, precisions, steps = [], [], [], 0
        for seed in asked.seeds:
            settings = {"data.pack": str(pack.folder), "schedule": schedule, "seed": seed}
            run = trained_to(changed(config, dict(settings)), folder, extended=extended)
            history = read_history(read_journal(run.journal))
            encoder = trained_encoder(load_weights(find_checkpoint(run, "last")))
            assert isinstance(encoder, GridEncoder)
            hit, precision = judge(encoder)
            losses.append(history.epochs[-1].ce or 0.0)
            hits.append(hit)
            precisions.append(precision)
            # An interruption loses nothing that is known.
            told = f"{losses[-1]:.3f} nats, hit@1 {hit:.3f}, mAP {precision:.3f}"
            print(f"{data}, {name}, seed {seed}: {told}", file=sys.stderr, flush=True)
            ends = [*(segment.step for segment in history.segments[1:])]
            steps = history.step + (round(0.6 * history.step) - ends[0] if ends else 0)
        cells = [_each(values, 3) for values in (losses, hits, precisions)]
        print(f"| {name} | {steps} | {' | '.join(cells)} |", flush=True)


def _each(values: list[float], digits: int) -> str:
    """The mean of some seeds, and each of them."""
    each = ", ".join(f"{value:.{digits}f}" for value in values)
    return f"{statistics.fmean(values):.{digits}f} ({each})"


def main() -> None:
    """Print a table for each source, a row as soon as it is known."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("data", nargs="*", default=["toy", "logos"], help="toy or logos; or both")
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--batch-size", type=int, default=128)
    words.add_argument("--cached-views", type=int, default=2)
    words.add_argument("--marks", type=int, default=800, help="of each source")
    words.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    asked = words.parse_args()
    torch.set_num_threads(1)
    for data in asked.data:
        used = core_seconds()
        with tempfile.TemporaryDirectory() as scratch:
            measure(data, Path(scratch), asked)
        print(f"\n{core_seconds() - used:.0f} s of a core\n", flush=True)


if __name__ == "__main__":
    main()
