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


# Ends as a trainer does, with or without its last state on the disk.
ENDING = (
    "import signal, sys, threading; from pathlib import Path\n"
    "from tmssl.runs.events import *; from tmssl.runs.folder import Run, hold_lock\n"
    "from tmssl.runs.journal import JournalWriter\n"
    "asked = threading.Event(); signal.signal(signal.SIGTERM, lambda *_: asked.set())\n"
    "with hold_lock(Run(Path(sys.argv[1]))) as (run, _):\n"
    "    journal = JournalWriter(run.journal); journal.write(Segment())\n"
    "    journal.write(Checkpoint(path='checkpoints/last.pt', step=5, epoch=1.0))\n"
    "    print('held', flush=True); asked.wait()\n"
    "    if len(sys.argv) > 3: Path(sys.argv[1]).rename(sys.argv[3])\n"
    "    saved = sys.argv[2] == 'saved'\n"
    "    if saved: journal.write(Checkpoint(path='checkpoints/last.pt', step=7, epoch=1.4))\n"
    "    if sys.argv[2] != 'wordless':\n"
    "        status = 'stopped' if saved else 'failed'\n"
    "        journal.write(End(status=status, reason='no space left', step=7, epoch=1.4))\n"
)


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize(
    ("ending", "code", "said"),
    [
        ("saved", 0, "stopped; checkpoint at epoch 1.4"),
        (
            "unsaved",
            1,
            "its last state was not saved: no space left; the newest checkpoint is of step 5",
        ),
        ("wordless", 1, "ended without a word, so its last state was not saved"),
    ],
)
def test_it_says_whether_the_last_state_was_saved_also_of_a_folder_that_moves_meanwhile(
    run: Run, ending: str, code: int, said: str, moved: bool
) -> None:
    words = [ending, *([str(run.path.with_name("moved"))] if moved else [])]
    child = subprocess.Popen(
        [sys.executable, "-c", ENDING, str(run.path), *words], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    with child.stdout:
        child.stdout.readline()
    done = stop(run.path, code=code)
    assert child.wait() == 0
    assert said in done.stderr
