"""What positives of two marks are worth: `python -m tests.bench.positives [toy|icons ...]`, one core.

Trains the head as `tmssl train` does by default, with two views of one mark as positives, with marks of one
group or one text, and with mixtures, and prints known-item hit@1 and mAP as Markdown. Whole groups are kept
for validation: none of their marks is trained on, as itself or as a partner. Each mark of such a group is a
query, and right is where the nearest of all marks is of its group; of icons, all that another hand drew.

The icons are those of `tests.bench.known`, which fetches them with npm (`--icons FOLDER` takes those that are
installed there). Their group is the brand, their title the icon's own name, under which hands differ more.
The title of a toy mark, which describes it, gives way to its lettering, as registers have it; half have none.
"""

import argparse
import csv
import hashlib
import re
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from tests.bench.known import Grids, core_seconds
from tests.bench.known_icons import draw, drawings, fetch_icons, known_to_others
from tests.bench.known_items import find
from tests.bench.trained import trained_run
from tmssl.config import Config, changed
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import ConfigError
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.toy.make import make_toy
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.grid import GridEncoder
from tmssl.types import Vectors

KINDS = ("instance", "group", "instance=0.5,group=0.5", "title", "instance=0.5,title=0.5")
_LETTERING = re.compile(r'"([^"]+)"$')  # at the end of what a toy mark's title says of it
_HELD = 0.3  # share of groups that are kept for validation


def keep_groups(folder: Path) -> None:
    """Rewrite the labels of a folder so that every mark of some groups is of the validation split."""
    path = folder / "labels.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        dice = int(hashlib.sha256(row["group"].encode()).hexdigest()[:8], 16) / 2**32
        row["split"] = "validation" if dice < _HELD else "train"
        lettering = _LETTERING.search(row["title"]) if "title" in row else None
        name = Path(row["path"]).stem.replace("-", " ") if "title" not in row else ""
        row["title"] = lettering.group(1) if lettering else name
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def marks_of(data: str, folder: Path, asked: argparse.Namespace) -> Path:
    """The folder of the marks, with labels."""
    if data == "toy":
        marks = make_toy(folder / "marks", count=asked.marks)
    else:
        marks = folder / "logos"
        drawn = known_to_others(drawings(asked.icons or fetch_icons(folder / "icons")))
        brands = sorted({drawing.brand for drawing in drawn})
        kept = set(np.random.default_rng(0).permutation(brands)[: asked.brands].tolist())
        draw([drawing for drawing in drawn if drawing.brand in kept], marks)
    keep_groups(marks)
    return marks


def judge(vectors: Vectors, pack: Pack) -> tuple[float, float, int]:
    """hit@1 and mAP of the marks that are kept for validation, and how many have something to find."""
    marks = list(pack.marks)
    held = np.array([mark.split == "validation" for mark in marks])
    found = find(vectors, marks)
    kept = held[found.rows]
    return float(found.hits[kept].mean()), float(found.precision[kept].mean()), int(kept.sum())


def measure(data: str, folder: Path, asked: argparse.Namespace) -> None:
    """Print the table of one source."""
    settings = {"device": "cpu", "keep_every": 0, "warmup_epochs": 2.0, "cached_views": 2}
    settings |= {"batch_size": asked.batch_size, "epochs": asked.epochs}
    config = changed(Config(), dict(settings))
    size = config.data.image_size
    marks = read_catalogue(marks_of(data, folder, asked))
    pack = build_pack(marks, folder / data, pack_size(size), workers=1)
    grids = Grids(pack, size)
    before = judge(grids.untrained((3, 4)), pack)
    print(
        f"{data}: {pack.count:,} marks, {before[2]:,} queries, {asked.epochs} epochs in batches of "
        f"{asked.batch_size}\n\n| positives | hit@1 | mAP | cross-entropy, nats | estimated noise | with a partner |"
        f"\n|---|---|---|---|---|---|\n| before training | {before[0]:.3f} | {before[1]:.3f} | | | |",
        flush=True,
    )
    for kind in asked.kinds:
        hits, precisions, losses, noises, paired = [], [], [], [], []
        for seed in asked.seeds:
            chosen = {"data.pack": str(pack.folder), "positives": kind, "seed": seed}
            try:
                run, _ = trained_run(changed(config, dict(chosen)), folder)
            except ConfigError as error:
                print(f"| {kind} | {error} | | | | |", flush=True)
                break
            encoder = trained_encoder(load_weights(find_checkpoint(run, "last")))
            assert isinstance(encoder, GridEncoder)
            hit, precision, _ = judge(grids.described(encoder), pack)
            history = read_history(read_journal(run.journal))
            hits.append(hit)
            precisions.append(precision)
            losses.append(history.epochs[-1].ce or 0.0)
            # An interruption loses nothing that is known.
            told = f"{losses[-1]:.3f} nats, hit@1 {hit:.3f}, mAP {precision:.3f}"
            print(f"{data}, {kind}, seed {seed}: {told}", file=sys.stderr, flush=True)
            told_of = history.positives[-1:]
            noises += [event.noise for event in told_of if event.noise is not None]
            paired += [event.with_partner for event in told_of if event.with_partner is not None]
        if hits:
            cells = [_each(values) for values in (hits, precisions, losses, noises, paired)]
            print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def _each(values: list[float]) -> str:
    """The mean of some seeds, and each of them; nothing where there is none."""
    each = ", ".join(f"{value:.3f}" for value in values)
    return f"{statistics.fmean(values):.3f} ({each})" if values else ""


def main() -> None:
    """Print a table for each source, a row as soon as it is known."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("data", nargs="*", default=["toy", "icons"], help="toy or icons; or both")
    words.add_argument("--icons", type=Path, help="where npm has installed them")
    words.add_argument("--brands", type=int, default=300, help="of the icons, drawn by chance")
    words.add_argument("--marks", type=int, default=800, help="toy marks to draw")
    words.add_argument("--kinds", nargs="+", default=KINDS, help="of positives")
    words.add_argument("--epochs", type=int, default=30)
    words.add_argument("--batch-size", type=int, default=128)
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
