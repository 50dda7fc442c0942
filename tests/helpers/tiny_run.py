"""A run that was really trained, in a second: a test model on a few drawn marks."""

from collections.abc import Mapping
from pathlib import Path

from tests.helpers.marks import draw_marks
from tests.helpers.training import SMALL_MODEL
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.folder import Run, create_run
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


def tiny_run(
    folder: Path,
    count: int = 40,
    *,
    validation: int = 8,
    settings: Mapping[str, object] | None = None,
) -> Run:
    """A run of one epoch under `folder`, its marks in `folder/marks`, drawn if they are not there."""
    marks = folder / "marks"
    if not marks.exists():
        draw_marks(marks, count, validation=validation)
    pack = build_pack(read_catalogue(marks), folder / "pack", pack_size(32))
    return train_on(pack.folder, folder / "runs", **{"data.source": str(marks), **(settings or {})})


def train_on(pack: Path, runs: Path, **settings: object) -> Run:
    """A run `r` of one epoch on a pack."""
    run = create_run(runs, "r")
    settings = {**SMALL_MODEL, "data.pack": str(pack), "epochs": 1, **settings}
    write_config(changed(Config(), settings), run.config)
    train(run, SignalFlags())
    return run
