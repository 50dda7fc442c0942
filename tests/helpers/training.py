"""Runs of a test model on a few drawn marks, in the process of the test."""

from pathlib import Path

from tmssl.config import Config, changed, write_config
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

TINY = {
    "model.name": "test_efficientnet",
    "hidden": 32,
    "dimensions": 16,
    "image_size": 32,
    "batch_size": 8,
    "epochs": 2,
    "log_every": 1,
    "deterministic": True,
    "device": "cpu",
    "lr": 0.05,
    "warmup_epochs": 0.5,
}


def new_run(folder: Path, pack: Path, **settings: object) -> Run:
    run = create_run(folder / "runs", f"r{len(list(folder.glob('runs/r*')))}")
    write_config(changed(Config(), {**TINY, "data.pack": str(pack), **settings}), run.config)
    return run


def history_of(run: Run) -> History:
    return read_history(read_journal(run.journal))


def losses(run: Run) -> list[float | None]:
    return [step.loss for step in history_of(run).steps]
