import errno
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tmssl.config import Config, write_config
from tmssl.errors import InputError, RunError, TrainingError
from tmssl.runs.events import Axes, Event, Segment
from tmssl.runs.folder import (
    Run,
    create_run,
    hold_lock,
    holder,
    is_alive,
    list_runs,
    open_run,
    point_latest,
    run_name,
)
from tmssl.runs.journal import JournalWriter
from tmssl.runs.launch import (
    last_log_line,
    signal_trainer,
    start_trainer,
    wait_until_begun,
    wait_until_released,
)

HOLD = (
    "import sys, time; from pathlib import Path; from tmssl.runs.folder import Run, hold_lock\n"
    "with hold_lock(Run(Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(600)"
)


def hold_in_child(run: Run) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    return child


def test_a_new_run_has_its_folders_and_is_the_latest(tmp_path: Path) -> None:
    first, second = create_run(tmp_path / "runs", "a"), create_run(tmp_path / "runs", "b")
    assert {p.name for p in first.path.iterdir()} == {"checkpoints", "eval", "index"}
    assert (tmp_path / "runs" / "latest").readlink().name == "b"
    point_latest(first)
    assert (tmp_path / "runs" / "latest").readlink().name == "a"
    create_run(tmp_path / "runs", "c", latest=False)
    assert (tmp_path / "runs" / "latest").readlink().name == "a"
    with pytest.raises(RunError, match="exists already"):
        create_run(tmp_path / "runs", "b")
    assert second.name == "b"


def test_runs_are_listed_once(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    for name in ("b", "a"):
        run = create_run(tmp_path, name)
        write_config(Config(), run.config)
    (tmp_path / "stray").mkdir()
    assert [run.name for run in list_runs(tmp_path)] == ["a", "b"]


def test_names_are_plain() -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-my-marks-2", run_name("My márks/2!".replace("á", "a")))
    assert re.fullmatch(r"\d{8}-\d{6}", run_name("\x1b[/]".replace("[/]", "")))


def test_what_is_not_a_run_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*tmssl demo"):
        open_run(tmp_path / "none")
    with pytest.raises(RunError, match="is not a run folder"):
        open_run(tmp_path)
    (tmp_path / "latest").symlink_to("gone")
    with pytest.raises(RunError, match="a folder that is gone"):
        open_run(tmp_path / "latest")
    run = create_run(tmp_path, "r")
    run.journal.touch()
    assert open_run(tmp_path / "latest").path == run.path


def test_a_held_lock_means_alive_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    assert not is_alive(run)
    child = hold_in_child(run)
    found = holder(run)
    assert found is not None
    assert found.pid == child.pid
    assert abs(found.started - time.time()) < 300
    with pytest.raises(RunError, match="is being trained already"), hold_lock(run, patience_s=0.1):
        pass
    child.kill()
    child.wait()
    assert not is_alive(run)
    with hold_lock(run):
        assert is_alive(run)


def test_a_reused_pid_cannot_pass_for_a_trainer(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    run.lock.write_text(f'{{"pid": {os.getpid()}, "started": {time.time()}}}')
    assert holder(run) is None
    with pytest.raises(RunError, match="is not being trained"):
        signal_trainer(run, signal.SIGTERM)


def test_a_lock_that_is_just_being_written_counts_as_held(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    child = hold_in_child(run)
    run.lock.write_text("{")
    found = holder(run)
    child.kill()
    child.wait()
    assert found is not None
    assert found.pid == 0


def test_stopping_waits_for_the_lock(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    child = hold_in_child(run)
    assert not wait_until_released(run, 0.1)
    assert signal_trainer(run, signal.SIGKILL) == child.pid
    child.wait()
    assert wait_until_released(run, 60)


def test_a_trainer_that_refuses_says_why_in_one_line(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    run.config.write_text("[data]\npack = 'gone'\n[train]\nepochs = 3\n")
    with pytest.raises(InputError, match="there is no pack at gone"):
        wait_until_begun(run, start_trainer(run), segments=0)
    assert "Traceback" not in run.log.read_text()


def test_a_trainer_that_breaks_is_reported(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    run.log.write_bytes(b"some line\n\x1b[31mboom\n")
    with pytest.raises(TrainingError, match="boom"):
        wait_until_begun(run, child, segments=0)
    assert last_log_line(tmp_path / "none") == "it printed nothing"


def test_waiting_for_a_trainer_tells_of_the_fit_that_it_waits_for(tmp_path: Path) -> None:
    run, seen = create_run(tmp_path, "r"), list[Axes]()
    own = [Axes(segment=1, done=done, total=90) for done in (30, 60)]
    journal = JournalWriter(run.journal)
    events: list[Event] = [Axes(segment=0, done=90, total=90), Segment(), *own]
    for event in events:
        journal.write(event)
    journal.close()
    child = subprocess.Popen([sys.executable, "-c", "raise SystemExit(1)"])
    with pytest.raises(TrainingError):
        wait_until_begun(run, child, segments=1, fitting=seen.append)
    assert seen == own


def test_a_trainer_that_has_no_process_here_is_named(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    with hold_lock(run):
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        run.lock.write_text(f'{{"pid": {gone.pid}, "started": 0}}')
        with pytest.raises(RunError, match="another machine"):
            signal_trainer(run, signal.SIGTERM)


def test_what_stands_in_the_way_of_a_new_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot make the folder of runs .*file"):
        create_run(tmp_path / "file", "r")
    (tmp_path / "runs" / "latest").mkdir(parents=True)
    with pytest.raises(RunError, match=r"cannot point .*latest at r"):
        create_run(tmp_path / "runs", "r")
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"latest", "r"}


def refuse_links(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let this process see a disk without symbolic links."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "symlink", refuse)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_without_links_the_latest_run_is_named_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_links(monkeypatch, number)
    for name in ("a", "b", "Bücher 2"):
        run = create_run(tmp_path, name)
        write_config(Config(), run.config)
        assert open_run(tmp_path / "latest").path == run.path
    assert (tmp_path / "latest").read_bytes() == "Bücher 2\n".encode()
    assert [run.name for run in list_runs(tmp_path)] == ["Bücher 2", "a", "b"]
    monkeypatch.undo()
    point_latest(Run(tmp_path / "a"))  # the folder moved to a disk that has links
    assert (tmp_path / "latest").readlink().name == "a"
    assert open_run(tmp_path / "latest").name == "a"


@pytest.mark.parametrize("kind", ["missing", "another folder", "a copy of a run"])
def test_where_a_copy_lost_the_link_the_newest_run_is_the_latest(tmp_path: Path, kind: str) -> None:
    for age, name in enumerate(["newest", "older", "oldest"]):
        run = create_run(tmp_path, name, latest=False)
        write_config(Config(), run.config)
        os.utime(run.config, (1e9 - age, 1e9 - age))
    create_run(tmp_path, "imported", latest=False).journal.touch()
    latest = tmp_path / "latest"
    if kind != "missing":
        latest.mkdir()
    if kind == "a copy of a run":
        write_config(Config(), latest / "config.toml")
        os.utime(latest / "config.toml", (1e8, 1e8))
    assert open_run(latest).name == "newest"


@pytest.mark.parametrize("content", [b"", b"gone\n", b"../elsewhere", b"\xff\0\n", b"x" * 9999])
def test_a_latest_that_names_no_run_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "latest").write_bytes(content)
    with pytest.raises(RunError, match=r"no run at|is not a run folder"):
        open_run(tmp_path / "latest")


def test_settings_that_are_none_start_no_trainer(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    run.config.write_text("[train]\nepoch = 3\n")
    with pytest.raises(InputError, match="did you mean 'epochs'"):
        start_trainer(run)
    assert not run.log.exists()
