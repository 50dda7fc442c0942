"""A run's folder that a stranger made: nothing outside it is written, waited for or signalled."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_for
from tmssl.errors import JournalError, RunError
from tmssl.files import atomic_path, open_to_append
from tmssl.runs import launch
from tmssl.runs.events import Step
from tmssl.runs.folder import Run, create_run, hold_lock, holder, is_alive, pinned
from tmssl.runs.journal import JournalWriter, Tail, read_journal
from tmssl.runs.launch import last_log_line, signal_trainer, start_trainer
from tmssl.unfinished import unfinished_path

HOLD = (
    "import fcntl, sys, time\n"
    "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
    "lock.write(sys.argv[2]); lock.flush(); print('held', flush=True); time.sleep(600)"
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = create_run(tmp_path / "runs", "r")
    made.config.write_text("")
    return made


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "victim"
    path.write_text("precious")
    yield path
    assert path.read_text() == "precious"


def fifo(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def bound_socket(path: Path, _victim: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket may be 108 bytes long
    try:
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(path.name)
    finally:
        os.chdir(here)


def link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("nothing"))


KINDS = (link, dangling_link, fifo, bound_socket)


@pytest.mark.parametrize("name", ["lock", "metrics.jsonl", "train.log", "config.toml"])
@pytest.mark.parametrize("put", KINDS)
def test_a_file_that_is_none_is_refused_at_once(
    run: Run, victim: Path, name: str, put: Callable[[Path, Path], None]
) -> None:
    (run.path / name).unlink(missing_ok=True)
    put(run.path / name, victim)
    with pytest.raises(RunError, match=f"{name} is a .* and no file"), hold_lock(run):
        pass
    assert not victim.with_name("nothing").exists()


@pytest.mark.parametrize("name", ["checkpoints", "eval", "index", "export"])
def test_a_folder_that_is_a_link_or_a_file_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    if (run.path / name).exists():
        (run.path / name).rmdir()
    (run.path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match=f"{name} is a link and no folder"), pinned(run):
        pass
    (run.path / name).unlink()
    (run.path / name).touch()
    with pytest.raises(RunError, match=f"{name} is a file and no folder"), pinned(run):
        pass


@pytest.mark.parametrize("put", KINDS)
def test_each_file_is_opened_without_following_or_waiting(
    run: Run, victim: Path, put: Callable[[Path, Path], None]
) -> None:
    for path in (run.journal, run.log, run.lock):
        put(path, victim)
    with pytest.raises(JournalError, match="and no regular file"):
        JournalWriter(run.journal)
    with pytest.raises(JournalError, match="and no regular file"):
        Tail(run.journal).poll()
    with pytest.raises(RunError, match="and no regular file"):
        start_trainer(run)
    assert last_log_line(run.log) == "it printed nothing"
    assert holder(run) is None


def test_a_second_name_of_a_file_elsewhere_keeps_its_content(run: Run, victim: Path) -> None:
    for path in (run.journal, run.log, run.lock, run.eval / "evaluations.log"):
        path.hardlink_to(victim)
    journal = JournalWriter(run.journal)
    journal.write(Step(step=1))
    journal.close()
    assert run.journal.read_text().startswith("precious\n{")
    os.close(open_to_append(run.eval / "evaluations.log"))
    with hold_lock(run):
        assert json.loads(run.lock.read_text())["pid"] == os.getpid()


def test_a_link_where_a_file_is_just_being_written_is_not_followed(
    tmp_path: Path, victim: Path
) -> None:
    unfinished_path(tmp_path / "a").symlink_to(victim)
    with atomic_path(tmp_path / "a") as fresh:
        fresh.write_text("mine")
    assert (tmp_path / "a").read_text() == "mine"


@pytest.mark.parametrize(
    "pid", [-1, 0, 1, True, "7", 7.0, 1e300, 2**40, 10**30, None, [1], "own parent", "another"]
)
def test_only_the_process_that_holds_the_lock_is_signalled(
    run: Run, pid: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_PID_PATIENCE_S", 0.1)
    with subprocess.Popen(["sleep", "600"]) as other:
        if isinstance(pid, str) and not pid.isdigit():
            pid = {"own parent": os.getppid(), "another": other.pid}[pid]
        words = [sys.executable, "-c", HOLD, str(run.lock), json.dumps({"pid": pid, "started": 1})]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as stranger:
            assert stranger.stdout is not None
            stranger.stdout.readline()
            try:
                with pytest.raises(
                    RunError, match=r"not say which|on another machine|another user"
                ):
                    signal_trainer(run, signal.SIGTERM)
                assert stranger.poll() is None
                assert other.poll() is None
            finally:
                stranger.kill()
                other.kill()


def test_who_removes_the_lock_lets_no_second_trainer_in(run: Run) -> None:
    for again in range(2):
        with hold_lock(run):
            run.lock.unlink()
            if again:
                run.lock.write_text("")  # of another inode
            assert is_alive(run)
            second = "from tmssl.runs.folder import *; hold_lock(Run(Path('r')), 0.1).__enter__()"
            done = subprocess.run(
                [sys.executable, "-c", second],
                cwd=run.path.parent,
                capture_output=True,
                check=False,
            )
            assert b"is being trained already" in done.stderr
            wait_for(lambda: (held := holder(run)) is not None and held.pid == os.getpid())
        assert not is_alive(run)


@pytest.mark.parametrize("change", ["renamed", "deleted", "replaced"])
def test_a_folder_that_is_gone_is_noticed_and_the_new_one_is_left_alone(
    run: Run, change: str
) -> None:
    lost, losses = threading.Event(), []

    def on_loss(words: str) -> None:
        losses.append(words)
        lost.set()

    moved = run.path.with_name("moved")
    with hold_lock(run, on_loss=on_loss) as (held, _):
        journal = JournalWriter(held.journal)
        run.path.rename(moved)
        if change == "replaced":
            create_run(run.path.parent, "r", latest=False)
        if change == "deleted":
            subprocess.run(["rm", "-r", str(moved)], check=True)
        assert lost.wait(20)
        journal.write(Step(step=1))
        journal.close()
        if change != "deleted":
            (held.checkpoints / "last.pt").write_bytes(b"x")
    if change == "deleted":
        assert losses == ["was deleted"]
        return
    assert losses == [f"was moved to {moved}"]
    assert len(read_journal(moved / "metrics.jsonl")) == 1
    assert (moved / "checkpoints" / "last.pt").exists()
    assert not run.journal.exists()
    assert not list(run.checkpoints.glob("*"))


def test_a_probe_of_a_lock_does_not_disturb_who_takes_it(run: Run) -> None:
    with run.lock.open("w") as probe:
        fcntl.flock(probe, fcntl.LOCK_SH)
        threading.Timer(0.2, probe.close).start()
        with hold_lock(run):
            assert is_alive(run)
