"""What a recipe is worth on the toy marks: `python -m tests.bench.recipes [NAME ...]`.

Trains each setup from scratch and evaluates it; a row takes two to three minutes on 2 CPU cores.
"""

import sys
import tempfile
import time
from pathlib import Path

from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.recipes import recipe_path
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.runs.events import Eval
from tmssl.runs.folder import create_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.toy.make import make_toy
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

# Each differs from the demo's recipe in what its name says.
SETUPS: dict[str, dict[str, object]] = {
    "toy": {},
    "64 px, m0 0.99, 10 epochs": {"image_size": 64, "optim.momentum": 0.99, "epochs": 10},
    "mild views": {"views": "mild"},
    "published views": {"views": "published"},
    "tau 0.1": {"temperature": 0.1},
    "N 128": {"batch_size": 128},
    "sgd 0.2": {"optimizer": "sgd", "lr": 0.2, "weight_decay": 1e-4},
    "mobilenetv3_small_100": {"model.name": "mobilenetv3_small_100"},
    "efficientnet_b0, sgd 0.2": {
        "model.name": "efficientnet_b0",
        "optimizer": "sgd",
        "lr": 0.2,
        "weight_decay": 1e-4,
    },
    "efficientnet_b0, adamw 1e-3": {"model.name": "efficientnet_b0", "lr": 1e-3},
}


def value(event: Eval, metric: str, level: str, codes: str) -> str:
    """One figure at k = 10 with its references: `0.71 (chance 0.42, untrained 0.60)`."""
    for score in event.scores:
        if (score.metric, score.level, score.codes, score.k) == (metric, level, codes, 10):
            untrained = score.references["untrained"]
            return f"{score.value:.3f} (chance {score.chance:.3f}, untrained {untrained:.3f})"
    return "-"


def row(name: str, config: Config, marks: Path, folder: Path) -> str:
    """Train and evaluate one setup."""
    size = pack_size(config.data.image_size)
    pack = build_pack(read_catalogue(marks), folder / f"pack-{size}", size)
    run = create_run(folder / "runs", str(time.monotonic_ns()))
    write_config(changed(config, {"data.pack": str(pack.folder)}), run.config)
    begun = time.monotonic()
    train(run, SignalFlags())
    seconds = time.monotonic() - begun
    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    event = evaluate(run, checkpoint="last", topk=[10])
    share = 100 * (last.ce or 0) / (segment.chance_ce or 1)
    return (
        f"{name:28} ce {last.ce:.2f} = {share:.0f} % of chance, {seconds:.0f} s; division hit@10 "
        f"{value(event, 'hit', 'division', 'figurative')}; group recall@10 "
        f"{value(event, 'group_recall', 'group', 'all')}"
    )


def main() -> None:
    """The rows that are asked for, or all."""
    names = sys.argv[1:] or list(SETUPS)
    recipe = read_config(recipe_path("toy"))
    with tempfile.TemporaryDirectory() as scratch:
        marks = make_toy(Path(scratch) / "marks")
        for name in names:
            config = changed(recipe, SETUPS[name])
            print(row(name, config, marks, Path(scratch)), flush=True)


if __name__ == "__main__":
    main()
