"""`--compile`: the same training through torch.compile."""

import shutil
import sysconfig
from pathlib import Path

import pytest
import torch

from tests.helpers.training import draw_pack, losses, new_run
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import Run
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

HEADER = Path(sysconfig.get_path("include")) / "Python.h"
COMPILER = next((name for name in ("gcc", "g++", "clang", "cc") if shutil.which(name)), None)


def trained(folder: Path, device: str, *, compiled: bool) -> Run:
    settings = {"epochs": 3, "precision": "float32", "lr": 1e-3, "device": device}
    # Batch norm over eight marks magnifies rounding: two eager runs of one and two threads differ by percents.
    settings["batch_size"] = 20
    # Deterministic, as `new_run` is: no TF32 on a GPU.
    run = new_run(folder, folder / "pack", f"compiled-{compiled}", compile=compiled, **settings)
    assert train(run, SignalFlags()) == 0
    return run


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
    draw_pack(tmp_path, 40)
    eager, compiled = (trained(tmp_path, device, compiled=c) for c in (False, True))
    expected, found = ([loss for _, loss in losses(run)] for run in (eager, compiled))
    assert len(expected) == 6
    assert found == pytest.approx(expected, rel=1e-4)
    one, other = (load_payload(find_checkpoint(run))["encoder"] for run in (eager, compiled))
    assert list(one) == list(other)
