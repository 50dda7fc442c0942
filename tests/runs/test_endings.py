"""How a run ends, is killed or vanishes, and what those who watch say of it."""

import re
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.commands.tail import tail
from cli.follow import follow, unsaved_words
from tmssl.doctor.machine import memory_kills
from tmssl.errors import TrainingError
from tmssl.runs.events import Checkpoint, End, Event, Segment, Step
from tmssl.runs.folder import Run, create_run, folder_identity, hold_lock, what_is_gone
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter
from tmssl.runs.launch import killed_words
from tui.live import tail as monitor

SEEN_WITHIN_S = 15.0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (-9, "it was killed by signal 9 (SIGKILL)"),
        (-11, "it was killed by signal 11 (SIGSEGV)"),
        (-signal.SIGRTMIN - 3, "it was killed by signal 37 (a real-time signal)"),
        (0, ""),
        (1, ""),
        (143, ""),
        (None, ""),
    ],
)
def test_a_death_by_a_signal_is_told_as_that(code: int | None, said: str) -> None:
    assert killed_words(code) == said


V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
V2 = "low 0\nhigh 0\nmax 7\noom 3\noom_kill {}\noom_group_kill 0\n"


@pytest.mark.parametrize(
    ("own", "file", "content", "kills"),
    [
        ("0::/jobs/mine\n", "jobs/mine/memory.events", V2, 2),
        ("0::/jobs/mine\n", "jobs/memory.events", V2, 2),  # told by the group around it alone
        ("3:memory:/mine\n", "memory/mine/memory.oom_control", V1, 2),
        ("3:memory:/mine\n", "memory/memory.oom_control", V1, 2),
        ("0::/\n", "memory.events", V2, 2),
        ("0::/other\n", "jobs/mine/memory.events", V2, 0),
        ("", "memory.events", "oom_kill x\n{}", 0),
        ("", "memory.events", "oom_kill\n{}", 0),
    ],
)
def test_kills_for_memory_are_counted_in_every_group_around(
    tmp_path: Path, own: str, file: str, content: str, kills: int
) -> None:
    root, groups = tmp_path / "cgroup", tmp_path / "own"
    groups.write_text(own)
    path = root / file
    path.parent.mkdir(parents=True)
    path.write_text(content.format(2))
    assert memory_kills(root, groups) == kills
    assert memory_kills(tmp_path / "nothing", tmp_path / "nothing") == 0


BEGUN = Segment(steps_per_epoch=5, epochs=4)
SAVED = Checkpoint(path="checkpoints/last.pt", step=5, epoch=1.0)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], ""),
        ([BEGUN], "ended without a word.*newest checkpoint is of step 0"),
        ([BEGUN, Step(step=7), SAVED], "ended without a word.*newest checkpoint is of step 5"),
        ([BEGUN, SAVED, End(status="failed", reason="disk full", step=7)], "disk full.*of step 5"),
        ([BEGUN, SAVED, End(status="stopped", step=7)], "of step 7, was not saved.*of step 5"),
        ([BEGUN, SAVED, Step(step=7), End(status="stopped")], "of step 7, was not saved"),
        ([BEGUN, SAVED, End(status="stopped", step=5)], ""),
        ([BEGUN, SAVED, End(status="finished", step=20)], ""),
    ],
)
def test_a_state_that_was_not_saved_is_told_and_no_other(events: list[Event], said: str) -> None:
    told = unsaved_words(read_history(events))
    assert bool(told) == bool(said)
    assert re.search(said, told)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create_run(tmp_path / "runs", "r", latest=False)
    made.config.write_text("")
    journal = JournalWriter(made.journal)
    for event in (BEGUN, Step(step=1, t=1.0)):
        journal.write(event)
    journal.close()
    return made


def rename(run: Run) -> None:
    run.path.rename(run.path.with_name("moved"))


def delete(run: Run) -> None:
    shutil.rmtree(run.path)


def replace(run: Run) -> None:
    rename(run)
    shutil.copytree(run.path.with_name("moved"), run.path)


def delete_the_journal(run: Run) -> None:
    run.journal.unlink()


LOSSES: dict[Callable[[Run], None], str] = {
    rename: "was deleted or moved",
    delete: "was deleted or moved",
    replace: "was replaced by another",
    delete_the_journal: r"metrics\.jsonl was deleted",
}


def when_held(run: Run, change: Callable[[Run], None], watch: Callable[[], None]) -> float:
    """Watch a run that is being trained while something happens to it; seconds until the watch ended."""
    with hold_lock(run):
        timer = threading.Timer(0.3, change, [run])
        timer.start()
        begun = time.monotonic()
        try:
            watch()
        finally:
            timer.join()
        return time.monotonic() - begun


@pytest.mark.parametrize("change", LOSSES)
def test_followers_end_when_a_run_or_its_journal_is_gone(
    run: Run, change: Callable[[Run], None]
) -> None:
    def watch() -> None:
        with pytest.raises(TrainingError, match=LOSSES[change]):
            follow(run, begun=False)

    assert when_held(run, change, watch) < SEEN_WITHIN_S


@pytest.mark.parametrize("change", LOSSES)
def test_a_tail_ends_when_a_run_or_its_journal_is_gone(
    run: Run, change: Callable[[Run], None]
) -> None:
    def watch() -> None:
        with pytest.raises(TrainingError, match=LOSSES[change]):
            tail(run=run.path, run_option=None, lines=10, follow=True, runs_folder=run.path.parent)

    assert when_held(run, change, watch) < SEEN_WITHIN_S


@pytest.mark.parametrize("change", [rename, delete, delete_the_journal])
def test_the_monitor_says_when_a_run_or_its_journal_is_gone(
    run: Run, change: Callable[[Run], None]
) -> None:
    stop = threading.Event()

    def watch() -> None:
        for update in monitor.follow(run, stop):
            if update.problem:
                assert "deleted" in update.problem or "no journal" in update.problem
                stop.set()

    assert when_held(run, change, watch) < SEEN_WITHIN_S


def test_what_was_never_there_is_not_gone(run: Run) -> None:
    run.journal.unlink()
    assert what_is_gone(run, had_journal=False) == ""
    assert what_is_gone(run, had_journal=False, seen=folder_identity(run)) == ""
    assert folder_identity(Run(run.path / "none")) == ""
