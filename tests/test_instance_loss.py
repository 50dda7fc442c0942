"""An interruptible machine is taken away in mid-epoch; the run goes on on another, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.marks import draw_marks
from tmssl.runs.folder import Run, holder, is_alive, open_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

TINY = [
    "--model",
    "test_efficientnet",
    "--hidden",
    "32",
    "--dimensions",
    "16",
    "--image-size",
    "32",
    "--batch-size",
    "8",
    "--log-every",
    "1",
    "--deterministic",
    "--device",
    "cpu",
    "--lr",
    "0.05",
    "--epochs",
    "6",
    "--checkpoint-minutes",
    "0.001",
]
_ALL_STEPS = 30  # 40 marks, 8 a step, 6 epochs


def tmssl(machine: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        cwd=machine,
        text=True,
        capture_output=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "OMP_NUM_THREADS": "1",
            "TMSSL_CACHE": str(machine / "cache"),
        },
    )


def history_of(run: Run) -> History:
    return read_history(read_journal(run.journal))


def copied(source: Path, target: Path) -> None:
    """The folder on the other machine: by rsync where there is one, as people do it."""
    if shutil.which("rsync"):
        subprocess.run(["rsync", "-a", f"{source}/", f"{target}/"], check=True)
    else:
        shutil.copytree(source, target, symlinks=True)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_run_whose_machine_was_taken_goes_on_elsewhere_bit_for_bit(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    draw_marks(here / "my-marks", 48, validation=8)
    calm = tmssl(here, "train", "--data", "my-marks", "--name", "calm", *TINY)
    assert calm.returncode == 0, calm.stderr
    begun = tmssl(here, "train", "--data", "my-marks", "--name", "taken", "--detach", *TINY)
    assert begun.returncode == 0, begun.stderr
    taken = open_run(here / "runs" / "taken")
    while (step := history_of(taken).step) < 12 or step % 5 == 0:
        assert is_alive(taken)
        time.sleep(0.002)
    trainer = holder(taken)
    assert trainer is not None
    os.killpg(os.getpgid(trainer.pid), signal.SIGKILL)
    while is_alive(taken):
        time.sleep(0.01)
    lost_at = history_of(taken).step
    assert lost_at < _ALL_STEPS

    copied(here / "my-marks", there / "my-marks")
    copied(taken.path, there / "volume" / "came-back")
    shutil.rmtree(taken.path)
    (here / "my-marks").rename(here / "gone")  # nothing of the old machine is left
    shutil.rmtree(here / "cache")
    went_on = tmssl(there, "train", "--resume", "--run", "volume/came-back", "--data", "my-marks")
    assert went_on.returncode == 0, went_on.stderr
    resumed = history_of(open_run(there / "volume" / "came-back"))
    undisturbed = history_of(open_run(here / "runs" / "calm"))
    assert [segment.reason for segment in resumed.segments] == ["start", "resume"]
    assert 0 < resumed.segments[1].step <= lost_at
    assert [s.step for s in resumed.steps] == list(range(1, _ALL_STEPS + 1))
    assert [s.loss for s in resumed.steps] == [s.loss for s in undisturbed.steps]
    assert [e.loss for e in resumed.epochs] == [e.loss for e in undisturbed.epochs]
