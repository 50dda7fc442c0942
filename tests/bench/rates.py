"""Which learning rate finds most, and what a range test says of it: `python -m tests.bench.rates`, one core.

Trains the head as `tmssl train` does by default, on toy marks, at several rates under each temperature, and
prints as Markdown the final cross-entropy and what the encoder finds: each mark is a query, and right is where
the nearest of all is of its group, which training without labels was not told. Above each table stands what `tmssl train --find-lr` reads from its curve under that temperature, and the rates
at which its smoothed loss has fallen by some shares. All trainings share their cached views.
"""

import argparse
import io
import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path

import torch

from cli.find_lr import find_lr
from tests.bench.known import Grids, core_seconds
from tests.bench.known_items import find
from tests.bench.trained import trained_run
from tmssl.config import Config, changed
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.vectors.embed import trained_encoder
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.findings.range_test import RangeTest
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.toy.make import make_toy
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.encoder.grid import GridEncoder

_BEGINNING = 9  # steps after which the smoothed loss stands for more than a few
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.5)  # of the whole fall


def range_test(config: Config) -> RangeTest:
    """What `tmssl train --find-lr` finds under some settings."""
    told = io.StringIO()
    with redirect_stdout(told):
        find_lr(config, as_json=True)
    return RangeTest(**json.loads(told.getvalue()))


def fallen(test: RangeTest, share: float) -> float:
    """The first rate at which the smoothed loss has done a share of its whole fall."""
    smoothed = test.smoothed[_BEGINNING:]
    level = smoothed[0] - share * (smoothed[0] - min(smoothed))
    return next(
        rate for rate, loss in zip(test.rates[_BEGINNING:], smoothed, strict=True) if loss <= level
    )


def words(test: RangeTest) -> str:
    """What a range test says, in a line."""
    rates = {
        "onset": test.onset,
        "steepest fall": test.steepest,
        "valley": test.valley,
        "lowest": test.lowest,
        "advice": test.advice,
    }
    rates |= {f"{share:.0%} fallen": fallen(test, share) for share in _SHARES}
    return ", ".join(f"{name} {rate:.1e}" for name, rate in rates.items() if rate is not None)


def row(config: Config, folder: Path, grids: Grids) -> tuple[float, float, float]:
    """Final cross-entropy, hit@1 and mAP of a training."""
    run, _ = trained_run(config, folder)
    encoder = trained_encoder(load_weights(find_checkpoint(run, "last")))
    assert isinstance(encoder, GridEncoder)
    found = find(grids.described(encoder), list(grids.pack.marks))
    ce = read_history(read_journal(run.journal)).epochs[-1].ce or 0.0
    return ce, float(found.hits.mean()), float(found.precision.mean())


def main() -> None:
    """Print a table for each temperature, a row as soon as it is known."""
    asked = _arguments()
    torch.set_num_threads(1)
    used = core_seconds()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings: dict[str, object] = {
            "device": "cpu",
            "keep_every": 0,
            "warmup_epochs": 2.0,
            "cached_views": 2,
            "batch_size": asked.batch_size,
            "epochs": asked.epochs,
        }
        size = Config().data.image_size
        marks = read_catalogue(make_toy(folder / "marks", count=asked.marks))
        pack = build_pack(marks, folder / "pack", pack_size(size), workers=1)
        grids = Grids(pack, size)
        before = find(grids.untrained((3, 4)), list(pack.marks))
        print(
            f"before training {before.hits.mean():.3f}, {before.precision.mean():.3f}", flush=True
        )
        for temperature in asked.temperatures:
            here = {**settings, "data.pack": str(pack.folder), "temperature": temperature}
            print(f"\ntemperature {temperature:g}", flush=True)
            if asked.range_test:
                test = range_test(changed(Config(), here))
                print(words(test))
                json.dump({"temperature": temperature, **_curve(test)}, sys.stderr)
            print("\n| LR | cross-entropy, nats | hit@1 | mAP |\n|---|---|---|---|", flush=True)
            for lr in asked.rates:
                told = row(changed(Config(), {**here, "lr": lr}), folder, grids)
                cells = " | ".join(f"{value:.3f}" for value in told)
                print(f"| {lr:.0e} | {cells} |", flush=True)
    print(f"\n{core_seconds() - used:.0f} s of a core")


def _curve(test: RangeTest) -> dict[str, list[float]]:
    """The points of a curve."""
    return {"rates": test.rates, "losses": test.losses}


def _arguments() -> argparse.Namespace:
    """Sizes, rates and temperatures."""
    told = argparse.ArgumentParser(description=__doc__)
    told.add_argument("--marks", type=int, default=3000)
    told.add_argument("--epochs", type=int, default=30)
    told.add_argument("--batch-size", type=int, default=256)
    told.add_argument("--temperatures", type=float, nargs="+", default=[0.05, 0.1, 0.2])
    told.add_argument("--rates", type=float, nargs="+", default=[1e-4, 3e-4, 1e-3, 3e-3, 1e-2])
    told.add_argument("--no-range-test", dest="range_test", action="store_false")
    return told.parse_args()


if __name__ == "__main__":
    main()
