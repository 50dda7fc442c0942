"""Starts that were killed, that fail, or that are several at once: what is left, and what is said."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cli import start as start_module
from cli.start import is_abandoned, start_packed
from tests.helpers.training import TINY
from tmssl.config import Config, changed, write_config
from tmssl.errors import RunError, TrainingError
from tmssl.runs import launch
from tmssl.runs.events import End, Epoch, Event, Segment, Started, Step
from tmssl.runs.folder import Run, create_run, hold_lock, taken_words
from tmssl.runs.journal import JournalWriter


def journal(*events: Event) -> Callable[[Run], None]:
    def write(run: Run) -> None:
        writer = JournalWriter(run.journal)
        for event in events:
            writer.write(event)
        writer.close()

    return write


def touch(name: str) -> Callable[[Run], None]:
    return lambda run: (run.path / name).touch()


def all_of_it(run: Run) -> None:
    write_config(Config(), run.config)
    run.log.write_text("--- trainer started\n")
    run.lock.touch()
    journal(Started(), Segment())(run)
    (run.path / ".config.toml-4711").touch()


LEFT: dict[str, Callable[[Run], None]] = {
    "an empty folder": lambda run: None,
    "settings": lambda run: write_config(Config(), run.config),
    "unfinished settings": touch(".config.toml.tmssl-0123abcd-4711"),
    "a log": touch("train.log"),
    "a lock": touch("lock"),
    "an empty journal": touch("metrics.jsonl"),
    "a journal that has not begun": journal(Started(), Segment()),
    "all of it": all_of_it,
}
KEPT: dict[str, Callable[[Run], None]] = {
    "a person's file": touch("notes.txt"),
    "a hidden file": touch(".git"),
    "a step": journal(Started(), Segment(), Step(step=1)),
    "an epoch": journal(Segment(), Epoch(epoch=1)),
    "a failure": journal(Started(), Segment(), End(status="failed")),
    "a checkpoint": touch("checkpoints/last.pt"),
    "a checkpoint of nobody": touch("checkpoints/notes.txt"),
    "a folder": lambda run: (run.path / "mine").mkdir(),
    "a link as its journal": lambda run: run.journal.symlink_to("/etc/hostname"),
}


@pytest.mark.parametrize("left", LEFT)
def test_what_a_start_that_was_killed_left_may_be_started_again(tmp_path: Path, left: str) -> None:
    run = create_run(tmp_path, "r", latest=False)
    LEFT[left](run)
    assert is_abandoned(run)
    with hold_lock(run):
        assert not is_abandoned(run)


@pytest.mark.parametrize("kept", KEPT)
def test_a_folder_in_which_something_would_be_lost_is_not_started_in(
    tmp_path: Path, kept: str
) -> None:
    run = create_run(tmp_path, "r", latest=False)
    KEPT[kept](run)
    assert not is_abandoned(run)


def test_a_name_that_is_taken_says_how_to_go_on_with_it(tmp_path: Path) -> None:
    run = create_run(tmp_path, "it's", latest=False)
    assert taken_words(run).endswith("exists already; choose another --name")
    run.config.touch()
    assert "or go on with `tmssl train --resume " in taken_words(run)
    assert '"' in taken_words(run)  # the quote in the name is safe to paste


def test_of_many_that_make_one_run_at_once_exactly_one_does(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def create(name: str) -> bool:
        barrier.wait()
        try:
            create_run(tmp_path, name)
        except RunError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        for number in range(20):
            made = sorted(pool.map(create, [f"r{number}"] * 4))
            assert made == [False, False, False, True]


def broken(code: str) -> Callable[[int, Run], list[str]]:
    """A trainer in which a library is broken."""
    return lambda _ranks, _run: [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "said", "shown"),
    [
        ("raise SystemExit('boom: a library is broken')", "boom: a library is broken", "boom"),
        ("import os; print('half', flush=True); os.kill(os.getpid(), 9)", "SIGKILL", "half"),
        ("import os; os.kill(os.getpid(), 9)", "killed by signal 9", ""),
        ("import os; os.abort()", "SIGABRT", ""),
        ("print('\\x1b[2J gone'); raise SystemExit(3)", "gone", "gone"),
        ("for i in range(99): print('line', i)\nraise SystemExit(1)", "line 98", "line 90"),
    ],
)
def test_a_first_start_that_fails_shows_the_end_of_its_log_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    code: str,
    said: str,
    shown: str,
) -> None:
    monkeypatch.setattr(launch, "_command", broken(code))
    config = changed(Config(), {**TINY, "data.pack": "p"})
    with pytest.raises(TrainingError, match="the trainer ended at once") as raised:
        start_packed(config, tmp_path / "runs", "r")
    assert said in str(raised.value)
    told = capsys.readouterr().err
    assert shown in told
    assert "\x1b" not in told + str(raised.value)
    assert "train.log" not in str(raised.value)
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.parametrize("kills", [0, 1])
def test_a_kill_for_memory_is_named_where_the_kernel_counts_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    counts = iter([5, 5 + kills])
    monkeypatch.setattr(start_module, "memory_kills", lambda: next(counts))
    monkeypatch.setattr("cli.follow.memory_kills", lambda: next(counts))
    monkeypatch.setattr(launch, "_command", broken("import os; os.kill(os.getpid(), 9)"))
    config = changed(Config(), {**TINY, "data.pack": "p"})
    with pytest.raises(TrainingError, match="SIGKILL") as raised:
        start_packed(config, tmp_path / "runs", "r")
    assert ("for memory" in str(raised.value)) == bool(kills)
