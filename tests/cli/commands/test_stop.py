"""`tmssl stop` against real processes that hold a run."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import COMMAND, run_checked
from tmssl.runs.events import Checkpoint, Segment
from tmssl.runs.folder import Run, create_run, is_alive
from tmssl.runs.journal import JournalWriter

STUBBORN = (
    "import signal, sys, time; from pathlib import Path; from tmssl.runs.folder import Run, hold_lock\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "with hold_lock(Run(Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(600)"
)


def stop(*words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = run_checked([*COMMAND, "stop", *map(str, words)], code=code)
    assert done.stdout == ""
    return done


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create_run(tmp_path / "runs", "r")
    made.config.write_text("")
    return made


def test_nothing_to_stop_is_a_wrong_command(run: Run, tmp_path: Path) -> None:
    for words in ((run.path,), ("--runs", tmp_path / "runs"), ("r", "--runs", tmp_path / "runs")):
        done = stop(*words, code=2)
        assert "is not being trained" in done.stderr
    stop(tmp_path / "none", code=2)


@pytest.mark.parametrize("saved", [False, True])
def test_a_trainer_that_does_not_stop_is_killed_only_when_forced(run: Run, saved: bool) -> None:
    if saved:
        journal = JournalWriter(run.journal)
        journal.write(Segment())
        journal.write(Checkpoint(path="checkpoints/last.pt", epoch=3.0, step=30))
        journal.close()
    child = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(run.path)], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    done = stop(run.path, "--timeout", "0.2", code=1)
    assert "--force" in done.stderr
    assert is_alive(run)
    done = stop(run.path, "--timeout", "0.2", "--force")
    child.wait()
    assert "killed" in done.stderr
    expected = "checkpoint at epoch 3: " if saved else "no checkpoint had been written yet"
    assert expected in done.stderr
    assert not is_alive(run)
