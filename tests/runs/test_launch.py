"""Who holds a run, how long it has been silent, and how fast it goes."""

import fcntl
import json
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tmssl.errors import RunError
from tmssl.runs.events import Checkpoint, Epoch, Segment, Started, Step
from tmssl.runs.findings.diagnose import diagnose
from tmssl.runs.findings.plan import lr_jump
from tmssl.runs.folder import create_run, list_runs
from tmssl.runs.history import History, summary
from tmssl.runs.launch import signal_trainer
from tmssl.runs.steps import Steps
from tui.subprocesses import stop_trainer


def test_a_process_that_only_has_the_number_of_a_trainer_elsewhere_is_left_alone(
    tmp_path: Path,
) -> None:
    run = create_run(tmp_path, "r")
    with subprocess.Popen(["sleep", "600"]) as other, run.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as a container or another machine of a shared disk does
        lock.write(json.dumps({"pid": other.pid, "started": 1.0}))
        lock.flush()
        with pytest.raises(RunError, match="trained on another machine"):
            signal_trainer(run, signal.SIGTERM)
        assert other.poll() is None
        other.kill()


def test_a_monitor_that_is_left_waits_for_no_trainer(tmp_path: Path) -> None:
    run, left = create_run(tmp_path, "r"), threading.Event()
    left.set()
    script = (
        "import fcntl, json, os, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "lock.write(json.dumps({'pid': os.getpid(), 'started': 1.0})); lock.flush()\n"
        "print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        ["python3", "-c", script, str(run.lock)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert "has not stopped" in stop_trainer(run, left)
        assert holder.poll() is None
        holder.kill()


def test_the_pace_is_of_the_segment_in_force_and_any_line_breaks_the_silence() -> None:
    history = History()
    history.add(
        [
            Started(device="cpu"),
            Segment(epochs=10, steps_per_epoch=10, t=1.0),
            *(Step(step=n, step_s=10.0, t=float(n)) for n in range(1, 11)),
            Segment(number=1, step=10, epochs=10, steps_per_epoch=10, t=500.0),
        ]
    )
    assert history.seconds_per_step() is None
    assert summary(history, True, 502.0)["seconds_since_write"] == 2.0
    history.add([Step(step=11, step_s=1.0, t=501.0), Checkpoint(step=11, t=510.0)])
    assert history.seconds_per_step() == 1.0
    assert history.seconds_left() == 89.0
    assert history.written_at() == 510.0
    assert summary(History(), False)["seconds_since_write"] is None


def test_a_rate_that_rises_from_zero_is_a_jump() -> None:
    found = lr_jump(Segment(step=5, lr_before=0.0, lr_after=0.1), Steps(), [])
    assert found is not None
    assert "(up from 0)" in found.text
    assert lr_jump(Segment(step=5, lr_before=0.0, lr_after=0.0), Steps(), []) is None


def test_a_smaller_scale_of_the_loss_is_no_breaking_out() -> None:
    def segment(number: int, chance: float) -> Segment:
        return Segment(
            number=number,
            step=1000 * number,
            epochs=20,
            steps_per_epoch=100,
            chance=chance,
            chance_ce=6.93,
            solved=0.0,
            batch_size=1024,
        )

    history = History()
    history.add([segment(0, 27.72)])
    history.add([Step(step=n, epoch=n / 100, loss=27.7, t=1.0) for n in range(10, 1001, 10)])
    history.add([Epoch(epoch=n, step=100 * n, loss=27.7) for n in range(1, 11)])
    history.add([segment(1, 5.545)])
    history.add([Step(step=n, epoch=n / 100, loss=5.54, t=1.0) for n in range(1010, 2001, 10)])
    history.add([Epoch(epoch=n, step=100 * n, loss=5.54) for n in range(11, 21)])
    codes = [finding.code for finding in diagnose(history)]
    assert "at-chance" in codes
    assert "broke-out" not in codes


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(RunError, match=r"cannot list .* Permission denied"):
        list_runs(tmp_path)
