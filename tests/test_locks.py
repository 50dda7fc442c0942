"""Locks by `flock`, and by heartbeat where a disk has none."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_for
from tmssl import locks
from tmssl.data.pack.parts import build_lock
from tmssl.errors import PackError, RunError
from tmssl.locks import find_holder, hold
from tmssl.runs.folder import create_run, hold_lock, holder
from tmssl.unfinished import place

WITHOUT_FLOCK = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EIO]
HOLD = """
import errno, fcntl, sys, time
from pathlib import Path
from tmssl.locks import hold
if sys.argv[2] == "none":
    def flock(file, kind): raise OSError(errno.ENOSYS, "Function not implemented")
    fcntl.flock = flock
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@contextlib.contextmanager
def held_by_child(lock: Path, flock: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a lock, on a disk that has `flock` or not."""
    command = [sys.executable, "-c", HOLD, str(lock), flock]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        yield child
        child.kill()


def refuse_flock(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSYS) -> None:
    """Let this process see a disk without `flock`."""

    def flock(_file: int, _kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def write_beat(lock: Path, **fields: object) -> Path:
    """The heartbeat of another host, changed in some fields."""
    beat = dataclasses.replace(locks._new_beat(), token="other", place="elsewhere", host="box-2")
    path = locks._heartbeat(lock)
    path.write_text(json.dumps({**dataclasses.asdict(beat), **fields}))
    return path


@pytest.mark.parametrize("number", WITHOUT_FLOCK)
def test_without_flock_a_heartbeat_holds_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_flock(monkeypatch, number)
    lock = tmp_path / "lock"
    with hold(lock) as held:
        assert held.by_heartbeat
        found = find_holder(lock)
        assert found is not None
        assert found.pid == os.getpid()
        with pytest.raises(BlockingIOError), hold(lock):
            pass
        assert find_holder(lock) == found
    assert find_holder(lock) is None
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@pytest.mark.parametrize(
    ("child", "own"), [("flock", "flock"), ("none", "none"), ("none", "flock")]
)
def test_a_holder_is_seen_with_and_without_flock_and_its_death_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, child: str, own: str
) -> None:
    if own == "none":
        refuse_flock(monkeypatch)
    lock = tmp_path / "lock"
    with held_by_child(lock, child) as process:
        found = find_holder(lock)
        assert found is not None
        assert found.pid == process.pid
        with pytest.raises(BlockingIOError), hold(lock):
            pass
    assert find_holder(lock) is None
    with hold(lock):
        assert find_holder(lock) is not None


def test_a_reused_pid_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_flock(monkeypatch)
    lock = tmp_path / "lock"
    lock.touch()
    write_beat(lock, place=place(), process="1")
    assert find_holder(lock) is None
    with hold(lock):
        pass


@pytest.mark.parametrize("age_s", [0.0, 30.0, -30.0])
def test_a_fresh_heartbeat_of_another_host_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float
) -> None:
    refuse_flock(monkeypatch)
    run = create_run(tmp_path, "r")
    run.lock.touch()
    write_beat(run.lock, beat=time.time() - age_s)
    found = holder(run)
    assert found is not None
    assert found.host == "box-2"
    with pytest.raises(RunError, match="of box-2; stop it there, or wait a minute"), hold_lock(run):
        pass


@pytest.mark.parametrize("age_s", [3600.0, -3600.0])
def test_an_old_heartbeat_counts_once_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age_s: float
) -> None:
    refuse_flock(monkeypatch)
    lock = tmp_path / "lock"
    write_beat(lock, beat=time.time() - age_s)
    monkeypatch.setattr(locks, "_WATCH_S", 30.0)
    changer = threading.Timer(0.5, write_beat, [lock], {"beat": time.time() - age_s + 5})
    changer.start()  # a clock that is wrong by an hour
    with pytest.raises(BlockingIOError), hold(lock):
        pass
    changer.join()
    monkeypatch.setattr(locks, "_WATCH_S", 0.0)
    with hold(lock):
        pass


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"pid": "x"}', b"1" * 9999]
)
def test_a_damaged_heartbeat_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    refuse_flock(monkeypatch)
    lock = tmp_path / "lock"
    locks._heartbeat(lock).write_bytes(content)
    with hold(lock):
        assert find_holder(lock) is not None


def test_the_heartbeat_goes_on_and_a_process_that_lost_its_lock_ends(tmp_path: Path) -> None:
    script = HOLD.replace("if sys", "from tmssl import locks; locks.BEAT_S = 0.05\nif sys")
    command = [sys.executable, "-c", script, str(tmp_path / "lock"), "none"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        path = locks._heartbeat(tmp_path / "lock")
        first = path.read_bytes()
        wait_for(lambda: path.read_bytes() != first)
        child.send_signal(signal.SIGSTOP)  # as a machine that sleeps
        write_beat(tmp_path / "lock")
        child.send_signal(signal.SIGCONT)
        assert child.wait(60) == 1
        assert b"box-2 has taken" in child.stderr.read()


def test_two_processes_build_no_pack_at_once_without_flock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_flock(monkeypatch)
    building = tmp_path / "p.building"
    with (
        build_lock(building),
        pytest.raises(PackError, match="another process is building"),
        build_lock(building),
    ):
        pass
    with build_lock(building):
        pass
    assert list(tmp_path.iterdir()) == []
