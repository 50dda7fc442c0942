"""Runs of a test model on a few drawn marks, in the process of the test or as children of it.

A conftest imports this before the number of threads is set, so it must not import torch.
"""

from pathlib import Path

from tests.helpers.marks import draw_marks
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

# The settings of version 0.2.0, which most tests of training were written for.
POOLED: dict[str, object] = {
    "model.features": "pooled",
    "model.train": "all",
    "model.init": "none",
    "model.heads": "mlp",
    "optimizer": "sgd",
    "lr": 0.2,
    "weight_decay": 1e-4,
    "temperature": 0.2,
    "momentum": 0.99,
    "batch_size": 256,
}
SMALL_MODEL: dict[str, object] = {
    **POOLED,
    "model.name": "test_efficientnet",
    "hidden": 32,
    "dimensions": 16,
    "image_size": 32,
    "batch_size": 8,
    "device": "cpu",
}
TINY: dict[str, object] = {
    **SMALL_MODEL,
    "epochs": 2,
    "log_every": 1,
    "deterministic": True,
    "lr": 0.05,
    "warmup_epochs": 0.5,
}


def draw_pack(folder: Path, count: int, *, validation: int = 0) -> Path:
    """A pack of so many drawn marks of 32 px."""
    marks = draw_marks(folder / "source", count, validation=validation)
    return build_pack(read_catalogue(marks), folder / "pack", pack_size(32)).folder


def new_run(folder: Path, pack: Path, name: str = "", **settings: object) -> Run:
    """A run with the settings of `TINY` and others; nothing is trained yet."""
    number = len(list(folder.glob("runs/r*")))
    run = create_run(folder / "runs", name or f"r{number}", latest=False)
    write_config(changed(Config(), {**TINY, "data.pack": str(pack), **settings}), run.config)
    return run


def history_of(run: Run) -> History:
    return read_history(read_journal(run.journal))


def losses(run: Run) -> list[tuple[int, float | None]]:
    """(step, loss) of every logged step."""
    return [(step.step, step.loss) for step in history_of(run).steps]
