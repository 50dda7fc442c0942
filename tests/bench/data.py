"""How fast batches of two views are made beside other ways: `python -m tests.bench.data [--help]`.

The same images on the same cores, in batches of two views a mark: `tmssl` from its pack, torchvision's
MoCo v3 transform over `ImageFolder` and lightly's `MoCoV2Transform`, both in a `DataLoader`. Each takes
some batches in turn, five times over, so that a busy machine is busy for all.
"""

import argparse
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from tests.bench.rivals import TwoCrops, endless
from tmssl.config import Config, changed
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sampler import Sampler
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.system import keep_freed_memory
from tmssl.training.learner import choose_device, create_learner, update, views_dtype
from tmssl.training.loader import ViewLoader

_ROUNDS = 5
_READ = 256  # images of a pack read at once


def main() -> None:
    """Print two-view batches a second, their ratios, the pack's read rate, and the views' share of a step."""
    asked = _arguments()
    cores = sorted(os.sched_getaffinity(0))[: asked.workers]
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    keep_freed_memory()  # as a trainer on a CPU does
    import diagrams

    source = Path(diagrams.__file__).parents[1] / "resources"
    with tempfile.TemporaryDirectory() as scratch:
        for size in asked.sizes:
            side = pack_size(size)
            pack = build_pack(read_catalogue(source), Path(scratch) / f"pack-{side}", side)
            _compare(pack, source, size, asked)
        _print_reads(source, Path(scratch))
        if asked.model:
            _print_share(pack, size, asked)


def _arguments() -> argparse.Namespace:
    """What is measured, and how large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of a view")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=8, help="of a contender in a round; even")
    parser.add_argument("--views", default="published", help="of tmssl; the rivals have their own")
    parser.add_argument("--workers", type=int, default=2, help="cores, and the loaders' processes")
    parser.add_argument("--device", default="auto", help="where a training step is measured")
    parser.add_argument(
        "--model", default="efficientnet_b0", help="of that step; nothing leaves it out"
    )
    return parser.parse_args()


def _compare(pack: Pack, source: Path, size: int, asked: argparse.Namespace) -> None:
    """Batches a second of every contender at one size, and tmssl's over each other's."""
    print(
        f"{size} px, {pack.count} marks, batches of {asked.batch_size}, {asked.batches} a round, "
        f"median of {_ROUNDS} rounds, {asked.workers} cores",
        flush=True,
    )
    contenders = _contenders(pack, source, size, asked)
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(_ROUNDS):
        for name, seconds in contenders.items():
            rounds[name].append(seconds(asked.batches))
    own = rounds["tmssl"]
    for name, taken in rounds.items():
        ratio = statistics.median(b / a for a, b in zip(own, taken, strict=True))
        told = "" if name == "tmssl" else f"  tmssl is {ratio:.2f} times as fast"
        rate = 1 / statistics.median(taken)
        print(
            f"  {name:44} {rate:7.2f} batches/s {asked.batch_size * rate:8.0f} marks/s{told}",
            flush=True,
        )


def _contenders(
    pack: Pack, source: Path, size: int, asked: argparse.Namespace
) -> dict[str, Callable[[int], float]]:
    """Name to a function that makes so many batches and returns the seconds that one took."""
    feed = _feed(pack, size, asked.batch_size, asked.views, torch.device("cpu"))
    steps = iter(range(1 << 30))

    def ours(count: int) -> float:
        feed.views(next(steps))
        begun = time.perf_counter()
        for _ in range(count):
            feed.views(next(steps))
        return (time.perf_counter() - begun) / count

    def theirs(transform: object) -> Callable[[int], float]:
        dataset = ImageFolder(str(source), transform=transform)
        loader = DataLoader(
            dataset, asked.batch_size, shuffle=True, drop_last=True, num_workers=asked.workers
        )
        return lambda count: _loader_seconds(loader, count, asked.workers)

    found = {
        "tmssl": ours,
        "torchvision's MoCo v3 transform, ImageFolder": theirs(TwoCrops(size)),
    }
    try:
        found["lightly's MoCoV2Transform, ImageFolder"] = theirs(_lightly_transform(size))
    except ModuleNotFoundError as error:
        print(f"  lightly is left out: {error}; `pip install lightly` brings it in")
    return found


def _feed(
    pack: Pack,
    size: int,
    batch_size: int,
    views: str,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> ViewLoader:
    """The trainer's own feed over a whole pack."""
    sampler = Sampler(np.arange(pack.count), batch_size, 0)
    return ViewLoader(
        pack, sampler, views=views, size=size, device=device, end=1 << 30, dtype=dtype
    )


def _lightly_transform(size: int) -> object:
    """Lightly's pair of views with its own settings.

    Raises:
        ModuleNotFoundError: lightly is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it imports warns of its own future
        from lightly.transforms import MoCoV2Transform
    return MoCoV2Transform(input_size=size)


def _loader_seconds(loader: DataLoader[Any], count: int, workers: int) -> float:
    """Seconds a batch takes once all workers are busy; they end with the round."""
    batches: Iterator[Any] = endless(loader)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow, of palettes with transparency
        for _ in range(2 * workers):
            next(batches)
        begun = time.perf_counter()
        for _ in range(count):
            next(batches)
        return (time.perf_counter() - begun) / count


def _print_reads(source: Path, folder: Path) -> None:
    """How many images a second one core reads from a pack, in random order."""
    for side in (224, pack_size(224)):
        pack = build_pack(read_catalogue(source), folder / f"pack-{side}", side)
        dice, rates = np.random.default_rng(0), []
        for _ in range(_ROUNDS + 1):
            rows = dice.permutation(pack.count)
            begun = time.perf_counter()
            for start in range(0, len(rows), _READ):
                pack.read(rows[start : start + _READ])
            rates.append(len(rows) / (time.perf_counter() - begun))
        print(
            f"a pack of {side} px reads {statistics.median(rates[1:]):,.0f} marks/s on one core, "
            f"{(pack.folder / 'images.b2frame').stat().st_size / pack.count / 1024:.1f} KiB a mark",
            flush=True,
        )


def _print_share(pack: Pack, size: int, asked: argparse.Namespace) -> None:
    """How much of a training step the making of its views takes, on the device that trains."""
    device = choose_device(asked.device)
    config = changed(
        Config(), {"model.name": asked.model, "image_size": size, "batch_size": asked.batch_size}
    )
    learner = create_learner(config, device)
    feed = _feed(pack, size, asked.batch_size, asked.views, device, views_dtype(learner))
    seen, whole = [], []
    for step in range(_ROUNDS + 2):
        begun = time.perf_counter()
        views = feed.views(step)
        _synchronise(device)
        seen.append(time.perf_counter() - begun)
        update(learner, views, 0.99, step + 1)
        _synchronise(device)
        whole.append(time.perf_counter() - begun)
    feed.close()
    share = statistics.median(a / b for a, b in zip(seen[2:], whole[2:], strict=True))
    print(
        f"views take {100 * share:.1f} % of a step of {asked.model} at {size} px on {device.type}, {learner.precision}, "
        f"N = {asked.batch_size}: {statistics.median(seen[2:]):.3f} of "
        f"{statistics.median(whole[2:]):.3f} s"
    )


def _synchronise(device: torch.device) -> None:
    """Wait for a GPU to have done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
