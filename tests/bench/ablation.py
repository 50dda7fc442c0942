"""What each setting is worth to an EfficientNet-B0 that starts from nothing, on a CPU.

    python -m tests.bench.ablation toy rows.jsonl [NAME ...]     train and evaluate, a line a row
    python -m tests.bench.ablation logos rows.jsonl [NAME ...]   the same on the PNGs of `diagrams`
    python -m tests.bench.ablation table rows.jsonl              the table of tests/bench/ablation.md

Every row is trained by the real trainer from the settings in force, three epochs of batches of 64 at
64 px, and differs from them in what its name says. Rows that the file holds already are not done
again. A row takes three to six minutes on one core.
"""

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path

import torch

from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.pack.reader import Pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.evaluate import evaluate
from tmssl.retrieval.evaluation.invariance import invariance
from tmssl.retrieval.evaluation.task import choose_queries
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.main_figure import TELLING_APART
from tmssl.toy.make import make_toy
from tmssl.training.checkpoints.store import load_weights
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

BASE: dict[str, object] = {
    "image_size": 64,
    "batch_size": 64,
    "epochs": 3,
    "log_every": 1,
    "keep_every": 0,
    "device": "cpu",
    "optimizer": "sgd",
    "optim.lr": 0.2,
    "min_lr": 0.0,
    "warmup_epochs": 0.5,
    "weight_decay": 1e-4,
    "temperature": 0.2,
    "optim.momentum": 0.99,
    "views": "colour",
    "hidden": 4096,
    "dimensions": 256,
}

ADAMW: dict[str, object] = {"optimizer": "adamw", "optim.lr": 1e-3, "weight_decay": 0.05}

ROWS: dict[str, dict[str, object]] = {
    "sgd 0.2": {},
    "adamw 1e-3": ADAMW,
    "momentum 0.95": {"optim.momentum": 0.95},
    "lars 1.2": {"optimizer": "lars", "optim.lr": 1.2, "weight_decay": 1e-6},
    "sgd 0.5": {"optim.lr": 0.5},
    "adamw 3e-3": {**ADAMW, "optim.lr": 3e-3},
    "momentum 0.9": {"optim.momentum": 0.9},
    "tau 0.1": {"temperature": 0.1},
    "heads 1024, 128": {"hidden": 1024, "dimensions": 128},
    "published views": {"views": "published"},
    "mild views": {"views": "mild"},
    "mild views, momentum 0.9": {"views": "mild", "optim.momentum": 0.9},
    "9 epochs": {"epochs": 9},
    "adamw 1e-3, momentum 0.9, 9 epochs": {**ADAMW, "optim.momentum": 0.9, "epochs": 9},
    "momentum 0.9, 30 epochs": {"optim.momentum": 0.9, "epochs": 30},
    "momentum 0.9, 9 epochs": {"optim.momentum": 0.9, "epochs": 9},
    "mild views, momentum 0.9, 9 epochs": {"views": "mild", "optim.momentum": 0.9, "epochs": 9},
    "sgd 0.1": {"optim.lr": 0.1},
    "warm-up 0": {"warmup_epochs": 0.0},
    "warm-up 1.5": {"warmup_epochs": 1.5},
    "weight decay 1e-5": {"weight_decay": 1e-5},
    "weight decay 1e-3": {"weight_decay": 1e-3},
    "48 px": {"image_size": 48},
    "96 px": {"image_size": 96},
}
_AWAY = 0.95  # of chance: a mean over ten steps below it has left


def left_chance(history: History) -> int | None:
    """The first step at which the mean cross-entropy of ten steps is below 95 % of chance."""
    level = _AWAY * (history.segments[0].chance_ce or 0.0)
    told = [step.ce if step.ce is not None else level for step in history.steps]
    means = [sum(told[i - 10 : i]) / 10 for i in range(10, len(told) + 1)]
    return next((10 + i for i, mean in enumerate(means) if mean < level), None)


def measure(run: Run, pack: Pack, *, labelled: bool) -> dict[str, object]:
    """The figures of a trained run: its loss, copies found, and group mates found where known."""
    history = read_history(read_journal(run.journal))
    last, segment = history.epochs[-1], history.segments[-1]
    weights = load_weights(find_checkpoint(run, "last"))
    # One kind of copy for every row, whatever it was trained on.
    fixed = changed(weights.config, {"views": "colour"})
    queries = choose_queries(pack, 1000, 0)[0]
    copies = invariance(
        dataclasses.replace(weights, config=fixed), pack, queries, torch.device("cpu")
    )[0]
    found: dict[str, object] = {
        "ce": last.ce,
        "chance": segment.chance_ce,
        "left": left_chance(history),
        "steps": history.step,
        "copy": copies.value,
        "copy_untrained": copies.references["untrained"],
    }
    if labelled:
        event = evaluate(run, checkpoint="last", topk=[10])
        for score in filter(None, (figure.score(event) for figure in TELLING_APART)):
            found[score.level] = score.value
            found[f"{score.level}_untrained"] = score.references["untrained"]
    return found


def row(data: str, name: str, source: Path, folder: Path) -> dict[str, object]:
    """Train and evaluate one setup."""
    config = changed(Config(), {**BASE, **ROWS[name]})
    size = pack_size(config.data.image_size)
    pack = build_pack(read_catalogue(source), folder / f"pack-{data}-{size}", size)
    run = create_run(folder / "runs", f"{data}-{time.monotonic_ns()}")
    write_config(changed(config, {"data.pack": str(pack.folder)}), run.config)
    begun = time.monotonic()
    train(run, SignalFlags())
    seconds = time.monotonic() - begun
    figures = measure(run, pack, labelled=data == "toy")
    return {"data": data, "name": name, "seconds": round(seconds), **figures}


def sources(data: str, folder: Path, marks: int = 3000) -> Path:
    """The images: so many toy marks, or the 2,457 logos and icons that `diagrams` ships."""
    if data == "toy":
        return make_toy(folder / "marks", count=marks)
    import diagrams

    return Path(diagrams.__file__).parents[1] / "resources"


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows measured so far."""
    return (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    )


def table_lines(rows: list[dict[str, object]]) -> list[str]:
    """The rows as Markdown, by images and setup."""
    columns = (
        "data",
        "name",
        "steps",
        "left",
        "ce",
        "copy",
        "copy_untrained",
        "division",
        "division_untrained",
        "group",
        "group_untrained",
    )
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for told in sorted(rows, key=lambda told: (str(told["data"]), -float(str(told["ce"])))):
        cells = [told.get(name) for name in columns]
        shown = (f"{cell:.3f}" if isinstance(cell, float) else str(cell or "-") for cell in cells)
        lines.append(f"| {' | '.join(shown)} |")
    return lines


def main() -> None:
    """Measure rows, or print the table of those that were."""
    data, path, names = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
    if data == "table":
        print("\n".join(table_lines(read_rows(path))))
        return
    done = {(told["data"], told["name"]) for told in read_rows(path)}
    with tempfile.TemporaryDirectory() as scratch:
        source = sources(data, Path(scratch))
        for name in names or ROWS:
            if (data, name) not in done:
                told = row(data, name, source, Path(scratch))
                with path.open("a", encoding="utf-8") as file:
                    print(json.dumps(told), file=file)
                print(told, flush=True)


if __name__ == "__main__":
    main()
