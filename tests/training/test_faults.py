"""Long fault injection: real trainers killed and stopped at random moments."""

import os
import random
import resource
import signal
import time
from pathlib import Path

import pytest

from tests.helpers import training
from tests.helpers.training import draw_pack, history_of, losses
from tests.helpers.waiting import wait_for
from tmssl.runs.checkpoints import digest, valid_checkpoints
from tmssl.runs.folder import Run, holder, is_alive
from tmssl.runs.launch import signal_trainer, start_trainer, wait_until_begun
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

pytestmark = pytest.mark.slow

EPOCHS, PER_EPOCH = 12, 5


def new_run(folder: Path, name: str, epochs: int = EPOCHS) -> Run:
    pack = folder / "pack"
    return training.new_run(folder, pack, name, epochs=epochs, checkpoint_minutes=0.002)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    draw_pack(folder, 40)
    return folder


def own_s(pid: int) -> float:
    """The seconds of processor that a living process took, which other work on the machine does not add to."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def earlier_children_s() -> float:
    """The seconds of processor that this process's ended children took."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_killed_at_20_random_steps_the_losses_are_bitwise_the_same(world: Path) -> None:
    undisturbed = new_run(world, "undisturbed")
    train(undisturbed, SignalFlags())
    expected = losses(undisturbed)
    dice = random.Random(0)
    kills = 0
    run = new_run(world, "killed")
    while kills < 20:
        process = start_trainer(run)
        wait_until_begun(run, process, len(history_of(run).segments) if run.journal.exists() else 0)
        begun = history_of(run).step
        wanted = begun + dice.randrange(1, 8)
        while history_of(run).step < wanted and process.poll() is None:
            time.sleep(0.001)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            kills += 1
        process.wait()
        assert not is_alive(run)
        if history_of(run).end is not None:  # it got to the end between two kills: begin again
            assert losses(run) == expected
            run = new_run(world, f"killed-{kills}")
    train(run, SignalFlags())
    assert losses(run) == expected


def test_terminated_20_times_it_always_leaves_a_checkpoint_within_5_seconds_of_work(
    world: Path,
) -> None:
    run = new_run(world, "terminated", epochs=100_000)
    dice = random.Random(1)
    for trial in range(20):
        process = start_trainer(run)
        wait_until_begun(run, process, trial)
        time.sleep(dice.random() / 2)
        found = holder(run)
        assert found is not None
        spent = earlier_children_s() + own_s(process.pid)
        signal_trainer(run, signal.SIGTERM)
        assert process.wait(timeout=60) == 143
        assert earlier_children_s() - spent < 5
        history = history_of(run)
        assert history.end is not None
        step, path = valid_checkpoints(run.checkpoints)[0]
        assert step == history.end.step
        assert digest(path) == history.checkpoints[-1].sha256


def test_a_disk_that_takes_nothing_for_a_while_stops_neither_training_nor_its_record(
    world: Path,
) -> None:
    run = new_run(world, "full", epochs=100_000)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    wait_for(lambda: history_of(run).checkpoints, process)
    full = run.journal.stat().st_size + 50  # no file may grow beyond it: the write is refused
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (full, hard))
    begun = own_s(process.pid)
    wait_for(lambda: own_s(process.pid) >= begun + 2, process)
    assert process.poll() is None
    stuck = history_of(run).step
    assert valid_checkpoints(run.checkpoints)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    wait_for(lambda: history_of(run).checkpoints[-1].step > stuck, process)
    signal_trainer(run, signal.SIGTERM)
    assert process.wait(timeout=60) == 143
    history = history_of(run)
    assert {"checkpoint-failed", "journal-held"} <= {f.code for f in history.findings}
    assert [step.step for step in history.steps] == list(range(1, history.step + 1))
    assert valid_checkpoints(run.checkpoints)[0][0] == history.step
