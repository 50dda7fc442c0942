"""`--compile`: the same training through torch.compile."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

from tests.helpers.marks import draw_marks
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import read_journal
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

HEADER = Path(sysconfig.get_path("include")) / "Python.h"
COMPILER = next((name for name in ("gcc", "g++", "clang", "cc") if shutil.which(name)), None)


def trained(folder: Path, device: str, *, compiled: bool) -> Run:
    run = create_run(folder / "runs", f"compiled-{compiled}")
    settings = {
        "data.pack": str(folder / "pack"),
        "model.name": "test_efficientnet",
        "hidden": 32,
        "dimensions": 16,
        "image_size": 32,
        "batch_size": 8,
        "epochs": 1,
        "log_every": 1,
        "device": device,
        "precision": "float32",
        "lr": 1e-3,
        "compile": compiled,
        "deterministic": True,  # no TF32 on a GPU
    }
    write_config(changed(Config(), settings), run.config)
    assert train(run, SignalFlags()) == 0
    return run


def losses(run: Run) -> list[float | None]:
    return [step.loss for step in read_history(read_journal(run.journal)).steps]


@pytest.mark.filterwarnings("default")  # the compiler has warnings of its own
@pytest.mark.timeout(600)
@pytest.mark.skipif(COMPILER is None, reason="torch.compile needs a C compiler")
@pytest.mark.parametrize(
    "device",
    [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)],
)
def test_a_compiled_run_learns_as_an_eager_one_and_its_checkpoint_fits_both(
    tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TF32, which rounds differently in every kernel, is cuDNN's default even in deterministic mode.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    if device == "cuda" and not HEADER.exists():
        pytest.skip(f"torch.compile needs {HEADER} to launch what it compiled for a GPU")
    marks = draw_marks(tmp_path / "marks", 40)
    build_pack(read_catalogue(marks), tmp_path / "pack", pack_size(32))
    eager, compiled = (trained(tmp_path, device, compiled=c) for c in (False, True))
    assert len(losses(eager)) == 5
    assert losses(compiled) == pytest.approx(losses(eager), rel=1e-3)
    one, other = (load_payload(find_checkpoint(run))["encoder"] for run in (eager, compiled))
    assert list(one) == list(other)
