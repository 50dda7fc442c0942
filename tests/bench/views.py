"""What each styling is worth to the `logo` views: `python -m tests.bench.views SOURCE [--help]`.

A `resnet10t` at 64 px learns from nothing for equal steps under the set with and without each
operation. It is judged by known-item hit@1: a mark is compared with all marks that another hand drew,
and the nearest should be of the same owner.

SOURCE is `toy` (3,000 toy marks; every mark is a hand of its own), `logos` (the PNGs of `diagrams`; the
hands are its providers, an item is a file name) or a folder or tar that `tests.bench.known` made.
"""

import argparse
import dataclasses
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.bench.ablation import sources
from tests.bench.known_items import figures, known_items, wrong_before
from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack, open_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.data.views.recipe import VIEW_SETS, ViewRecipe
from tmssl.recipes import recipe_path
from tmssl.retrieval.vectors.baselines import hog_descriptor
from tmssl.retrieval.vectors.embed import embed_pack, hash_pack, trained_encoder, untrained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import create_run
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.learner import choose_device
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags
from tmssl.types import Vectors

_STYLINGS = (
    "silhouette",
    "outline",
    "threshold",
    "recolour",
    "pieces",
    "thicker",
    "thinner",
    "wordless",
)
_PLAIN = VIEW_SETS["colour"][0]


def _with(*names: str, p: float = 0.12) -> tuple[ViewRecipe, ViewRecipe]:
    """The plain set with some stylings, for both views."""
    settings: dict[str, Any] = dict.fromkeys(names, p)
    recipe = dataclasses.replace(_PLAIN, **settings)
    return recipe, recipe


SETS: dict[str, tuple[ViewRecipe, ViewRecipe]] = {
    "no stylings": _with(),
    **{f"{name} 0.12": _with(name) for name in _STYLINGS},
    "four tones 0.12": _with("silhouette", "outline", "threshold", "recolour"),
    "four tones and pieces 0.12": _with("silhouette", "outline", "threshold", "recolour", "pieces"),
    "all 0.12": _with(*_STYLINGS),
    "all 0.06": _with(*_STYLINGS, p=0.06),
    "no stylings, no inversion": (dataclasses.replace(_PLAIN, invert=0.0),) * 2,
    "no stylings, no rotation": (dataclasses.replace(_PLAIN, rotation=0.0),) * 2,
    "published": VIEW_SETS["published"],
}


@dataclasses.dataclass(frozen=True)
class Asked:
    """One training: under which set, with which seed, for how long."""

    name: str
    seed: int
    epochs: int
    threads: int


def sampled(marks: Sequence[Mark], count: int) -> tuple[Mark, ...]:
    """So many marks, those of one item together."""
    return tuple(
        marks[row] for row in np.argsort(known_items(list(marks))[0], kind="stable")[:count]
    )


def learn(asked: Asked, folder: Path, config: Config) -> tuple[Asked, tuple[float, float], float]:
    """Train under a set and judge it: its figures, and the seconds that training took."""
    torch.set_num_threads(asked.threads)
    VIEW_SETS["logo"] = SETS[asked.name]
    pack = open_pack(folder / "pack")
    run = create_run(folder / "runs", f"{os.getpid()}-{time.monotonic_ns()}")
    settings = {"data.pack": str(pack.folder), "epochs": asked.epochs, "seed": asked.seed}
    write_config(changed(config, {**settings, "views": "logo"}), run.config)
    begun = time.monotonic()
    train(run, SignalFlags())
    seconds = time.monotonic() - begun
    encoder = trained_encoder(load_weights(find_checkpoint(run, "last")))
    device = choose_device(config.train.device)
    vectors = embed_pack(encoder, pack, image_size=config.data.image_size, device=device)
    return asked, figures(vectors, list(pack.marks)), seconds


def references(pack: Pack, config: Config) -> Iterator[tuple[str, Vectors]]:
    """Vectors that no training made."""
    device, size = choose_device(config.train.device), config.data.image_size
    encoder = untrained_encoder(config.model.name, 0)
    yield "(untrained)", embed_pack(encoder, pack, image_size=size, device=device)
    yield "(perceptual hash)", hash_pack(pack)
    yield "(HOG)", hog_descriptor().embed_pack(pack, None)


def _arguments() -> argparse.Namespace:
    """What is learnt from, and for how long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="toy, logos, or a folder or tar of tests.bench.known")
    parser.add_argument("--steps", type=int, default=800, help="of each row, to the next epoch")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each row")
    parser.add_argument("--processes", type=int, default=1, help="trainings at a time")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rows", nargs="+", choices=list(SETS), default=list(SETS), metavar="ROW")
    parser.add_argument("--sample", type=int, default=0, help="marks; 0 takes all")
    return parser.parse_args()


def main() -> None:
    """Train and judge every row, then print the Markdown table."""
    asked = _arguments()
    config = changed(
        read_config(recipe_path("toy")),
        {
            "image_size": asked.image_size,
            "batch_size": asked.batch_size,
            "keep_every": 0,
            "device": asked.device,
        },
    )
    named = asked.source in ("toy", "logos")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        source = sources(asked.source, folder) if named else Path(asked.source)
        catalogue = read_catalogue(source)
        if asked.sample:
            catalogue = dataclasses.replace(
                catalogue, marks=MarkTable.of(sampled(catalogue.marks, asked.sample))
            )
        pack = build_pack(catalogue, folder / "pack", pack_size(asked.image_size))
        epochs = -(-asked.steps // (pack.count // asked.batch_size))
        queries = len(wrong_before(np.zeros((pack.count, 1), np.float32), list(pack.marks)))
        print(
            f"{asked.source}: {pack.count:,} marks, {queries:,} of them known to another hand; "
            f"{epochs * (pack.count // asked.batch_size):,} steps of {asked.batch_size} at "
            f"{asked.image_size} px on {choose_device(asked.device).type}",
            flush=True,
        )
        print("\n".join(_table(_measure(asked, folder, config, epochs), pack, config)))


def _measure(
    asked: argparse.Namespace, folder: Path, config: Config, epochs: int
) -> dict[str, list[tuple[float, float]]]:
    """Name of each row to hit@1 and hit@10 of each of its trainings."""
    # More threads than cores are free spend their time at each other's barriers.
    threads = max(1, torch.get_num_threads() // asked.processes)
    todo = [
        Asked(name, seed, epochs, threads)
        for seed, name in itertools.product(range(asked.seeds), asked.rows)
    ]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asked.rows}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(asked.processes, mp_context=spawn) as workers:
        for told in workers.map(learn, todo, itertools.repeat(folder), itertools.repeat(config)):
            one, (first, ten), seconds = told
            found[one.name].append((first, ten))
            print(
                f"{one.name}, seed {one.seed}: {first:.3f} {ten:.3f}, {seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )
    return found


def _table(
    found: dict[str, list[tuple[float, float]]], pack: Pack, config: Config
) -> Iterator[str]:
    """The rows as Markdown, with every training's hit@1 behind the mean."""
    yield "| views | hit@1 | of each training | hit@10 |"
    yield "|---|---|---|---|"
    for name, told in found.items():
        of_first, of_ten = np.array(told).T
        each = " ".join(f"{value:.3f}" for value in of_first)
        yield f"| {name} | {of_first.mean():.3f} | {each} | {of_ten.mean():.3f} |"
    for name, vectors in references(pack, config):
        first, ten = figures(vectors, list(pack.marks))
        yield f"| {name} | {first:.3f} | | {ten:.3f} |"


if __name__ == "__main__":
    main()
