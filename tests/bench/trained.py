"""Whether training is worth it: `python -m tests.bench.trained [ROW ...] [--seconds 60]`.

Trains encoders from nothing for so many seconds each and prints, as Markdown, what they find beside an
untrained one, a perceptual hash and HOG, as they are and all but the hash PCA-whitened. On 3,000 toy marks that is same-group recall@10 of the marks
that were not trained on. The logos and icons that `diagrams` ships have no groups; there it is
known-item recall@10, the mean over every change that `tmssl eval --robustness` makes to a query.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from tests.bench.ablation import sources
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

K = 10
BASE: dict[str, object] = {
    "model.name": "resnet18",
    "image_size": 96,
    "batch_size": 256,
    "views": "colour",
    "optimizer": "sgd",
    "optim.lr": 0.3,
    "min_lr": 0.0,
    "weight_decay": 1e-4,
    "temperature": 0.2,
    "warmup_epochs": 2.0,
    "optim.momentum": 0.95,
    "keep_every": 0,
    "log_every": 5,
}
# Group mates share a division, and an instance's own copies teach what a division's marks differ in.
SHARED: dict[str, object] = {"positives": "mixed", "vienna_level": "division"}
ROWS: dict[str, tuple[str, dict[str, object]]] = {
    "toy, copies": ("toy", {}),
    "toy, copies and shared divisions": ("toy", SHARED),
    "toy, shared divisions": ("toy", {**SHARED, "positives": "vienna"}),
    "toy, copies and shared divisions, efficientnet_b0": (
        "toy",
        {**SHARED, "model.name": "efficientnet_b0"},
    ),
    "logos, copies": ("logos", {}),
    "logos, copies, efficientnet_b0": ("logos", {"model.name": "efficientnet_b0"}),
}
CHOSEN = ("toy, copies", "toy, copies and shared divisions", "logos, copies")
_BESIDE = ("untrained", "perceptual hash", "HOG")
_TRIED = 3  # epochs that tell how long one takes


def trained_run(config: Config, folder: Path) -> tuple[Run, float]:
    """A finished run, and the seconds that it took."""
    run = create_run(folder / "runs", str(time.monotonic_ns()))
    write_config(config, run.config)
    begun = time.monotonic()
    train(run, SignalFlags())
    return run, time.monotonic() - begun


_WHITENED = 256  # features kept


def figure(event: Eval) -> tuple[float, float, dict[str, float]]:
    """Value, chance and references of what a row is judged by."""
    groups = [s for s in event.scores if (s.metric, s.k) == ("group_recall", K)]
    scores: list[Score] = groups or [s for s in event.robustness if s.k == K]
    return (
        statistics.fmean(s.value or 0.0 for s in scores),
        statistics.fmean(s.chance or 0.0 for s in scores),
        {name: statistics.fmean(s.references[name] or 0.0 for s in scores) for name in _BESIDE},
    )


def row(name: str, seconds: float, folder: Path) -> str:
    """Train for so long, evaluate, and tell it as two rows of the table."""
    data, settings = ROWS[name]
    config = changed(Config(), {**BASE, **settings})
    size = pack_size(config.data.image_size)
    pack = build_pack(read_catalogue(sources(data, folder)), folder / f"{data}-{size}", size)
    config = changed(
        config, {"data.pack": str(pack.folder), "epochs": _TRIED, "warmup_epochs": 1.0}
    )
    tried = read_history(read_journal(trained_run(config, folder)[0].journal))
    epoch_s = min(epoch.seconds for epoch in tried.epochs[1:] if epoch.seconds)
    epochs = max(_TRIED, int(seconds / epoch_s))
    run, took = trained_run(changed(config, {"epochs": epochs}), folder)
    history = read_history(read_journal(run.journal))
    plain, whitened = (
        figure(evaluate(run, checkpoint="last", topk=[K], robust=data == "logos", whiten=features))
        for features in (0, _WHITENED)
    )
    share = 100 * (history.epochs[-1].ce or 0) / (history.segments[-1].chance_ce or 1)
    told = [name, str(epochs), f"{took:.0f}", f"{share:.0f} %"]
    lines = []
    for words, (value, chance, beside) in (
        ("as it is", plain),
        (f"whitened to {_WHITENED}", whitened),
    ):
        cells = [f"**{value:.3f}**", *(f"{beside[one]:.3f}" for one in _BESIDE), f"{chance:.3f}"]
        best = "yes" if value > max(beside.values()) else "no"
        lines.append(f"| {' | '.join([*told, words, *cells, best])} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, a row as soon as it is known."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("rows", nargs="*", metavar="ROW", help=f"of: {'; '.join(ROWS)}")
    words.add_argument("--seconds", type=float, default=60, help="of training a row")
    asked = words.parse_args()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(
        f"{device}, torch {torch.__version__}, {BASE['image_size']} px, N = {BASE['batch_size']}\n"
    )
    head = ("", "epochs", "s", "loss of chance", "", "trained", *_BESIDE, "chance", "best")
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    with tempfile.TemporaryDirectory() as scratch:
        for name in asked.rows or CHOSEN:
            print(row(name, asked.seconds, Path(scratch)), flush=True)


if __name__ == "__main__":
    main()
