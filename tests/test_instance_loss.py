"""An interruptible machine is taken away in mid-epoch; the run goes on on another, bit for bit."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers.command import TINY, tmssl
from tests.helpers.marks import draw_marks
from tests.helpers.training import history_of
from tests.helpers.waiting import wait_for
from tmssl.runs.folder import Run, holder, is_alive, open_run

OPTIONS = [*TINY, "--deterministic", "--epochs", "6", "--checkpoint-minutes", "0.001"]
_ALL_STEPS = 30  # 40 marks, 8 a step, 6 epochs


def run_on(machine: Path, *words: str) -> None:
    """Run `tmssl` on a machine, which has a cache of its own."""
    tmssl(machine, *words, TMSSL_CACHE=str(machine / "cache"))


def is_in_mid_epoch(run: Run) -> bool:
    """Whether a living trainer is in the third epoch or later, and at none's end."""
    step = history_of(run).step
    assert is_alive(run)
    return step >= 12 and step % 5 != 0


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
    run_on(here, "train", "--data", "my-marks", "--name", "calm", *OPTIONS)
    run_on(here, "train", "--data", "my-marks", "--name", "taken", "--detach", *OPTIONS)
    taken = open_run(here / "runs" / "taken")
    wait_for(lambda: is_in_mid_epoch(taken), what="a step in mid-epoch")
    trainer = holder(taken)
    assert trainer is not None
    os.killpg(os.getpgid(trainer.pid), signal.SIGKILL)
    wait_for(lambda: not is_alive(taken), what="the trainer to be gone")
    lost_at = history_of(taken).step
    assert lost_at < _ALL_STEPS

    copied(here / "my-marks", there / "my-marks")
    copied(taken.path, there / "volume" / "came-back")
    shutil.rmtree(taken.path)
    (here / "my-marks").rename(here / "gone")  # nothing of the old machine is left
    shutil.rmtree(here / "cache")
    run_on(there, "train", "--resume", "--run", "volume/came-back", "--data", "my-marks")
    resumed = history_of(open_run(there / "volume" / "came-back"))
    undisturbed = history_of(open_run(here / "runs" / "calm"))
    assert [segment.reason for segment in resumed.segments] == ["start", "resume"]
    assert 0 < resumed.segments[1].step <= lost_at
    assert [s.step for s in resumed.steps] == list(range(1, _ALL_STEPS + 1))
    assert [s.loss for s in resumed.steps] == [s.loss for s in undisturbed.steps]
    assert [e.loss for e in resumed.epochs] == [e.loss for e in undisturbed.epochs]
