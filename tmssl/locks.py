"""Locks between processes: by `flock`, and by a file with a heartbeat on disks that have no `flock`.

Lustre, SMB, some FUSE mounts and NFS without its lock daemon refuse `flock`. There the holder writes
its host, pid and the time into `NAME.heartbeat` beside the lock, again every few seconds. On the host of
the holder its process decides whether the lock is held; elsewhere the age of the heartbeat does.
"""

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tmssl.files import atomic_path, open_plain
from tmssl.system import process_start
from tmssl.unfinished import place

BEAT_S = 5.0
DEAD_S = 60.0
"""age in seconds beyond which the heartbeat of another host counts for nothing"""
_WATCH_S = 2.5 * BEAT_S  # clocks of two hosts differ, so an old heartbeat is watched for a change
_SETTLE_S = (
    0.5  # in which others that saw the same dead heartbeat write theirs; the last one has it
)
_PAUSE_S = 0.02
_TAKEN_OVER = 1  # exit code
_PIDS = 1 << 22  # the most that Linux gives


@dataclasses.dataclass(frozen=True)
class Holder:
    """The process that holds a lock."""

    pid: int
    """0 where it has not been written yet"""
    started: float
    """Unix time in seconds at which it took the lock"""
    host: str = ""
    """name of its machine, where a heartbeat tells it"""
    parent: int = 0
    """the process that started it, where the lock tells"""


@dataclasses.dataclass(frozen=True)
class Held:
    """A lock that this process holds."""

    file: int
    """descriptor of the lock file"""
    by_heartbeat: bool
    """whether the disk has no `flock`"""


@dataclasses.dataclass(frozen=True)
class _Beat:
    """What the file of a heartbeat holds."""

    token: str
    pid: int
    process: str
    """when the process began, in the kernel's count; empty where that is unknown"""
    place: str
    host: str
    started: float
    beat: float
    """Unix time of the last sign of life, by the holder's clock"""


@contextlib.contextmanager
def hold(path: Path, patience_s: float = 0.0) -> Iterator[Held]:
    """Hold the lock of a file, which is made if it is missing and stays.

    It tries for `patience_s` seconds, since a check by `find_holder` takes the lock for microseconds.
    A process that loses a lock by heartbeat, as it stood still for a minute, ends at once.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be written.
    """
    file = _open_lock(path)
    try:
        taken = flock_patiently(file, path, patience_s)
        while not is_at(path, file):  # it was removed, and another may have made it anew
            os.close(file)
            file = _open_lock(path)
            taken = flock_patiently(file, path, patience_s)
        line = holder_line()
        if taken is None:
            with _beating(path):
                write_line(file, line)
                yield Held(file, by_heartbeat=True)
            return
        if _living(_heartbeat(path)) is not None:
            raise BlockingIOError(errno.EWOULDBLOCK, "another host holds the lock", str(path))
        write_line(file, line)
        yield Held(file, by_heartbeat=False)
    finally:
        os.close(file)


def flock_patiently(file: int, path: Path, patience_s: float) -> bool | None:
    """Lock an open file or folder, trying for so many seconds; None where its disk has no `flock`.

    Raises:
        BlockingIOError: another process holds it.
    """
    deadline = time.monotonic() + patience_s
    while (taken := flock(file, fcntl.LOCK_EX)) is False:
        if time.monotonic() > deadline:
            raise BlockingIOError(errno.EWOULDBLOCK, "another process holds the lock", str(path))
        time.sleep(_PAUSE_S)
    return taken


def is_at(path: Path, file: int) -> bool:
    """Whether an open file or folder is the one that a path names."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file))
    except OSError:
        return False


def _open_lock(path: Path) -> int:
    """Open the file of a lock; one with a second name elsewhere (a hard link) is made anew."""
    file = open_plain(path, os.O_RDWR | os.O_CREAT)
    if os.fstat(file).st_nlink < 2:
        return file
    os.close(file)
    path.unlink()
    return open_plain(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)


def find_holder(path: Path) -> Holder | None:
    """The process that holds the lock of a file, or None; a reused pid is never taken for one."""
    try:
        file = open_plain(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if flock(file, fcntl.LOCK_SH) is False:
            return _read_holder(file)
    finally:
        os.close(file)
    beat = _living(_heartbeat(path))
    return None if beat is None else Holder(beat.pid, beat.started, beat.host)


def last_holder(path: Path) -> Holder:
    """Who took a lock last, whether it is held or not; pid 0 where nothing tells."""
    try:
        file = open_plain(path, os.O_RDONLY)
    except OSError:
        return Holder(0, 0.0)
    try:
        return _read_holder(file)
    finally:
        os.close(file)


def flock(file: int, kind: int) -> bool | None:
    """Lock an open file or folder without waiting: whether it worked, or None where its disk has no `flock`."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN) else None
    return True


def holder_line() -> bytes:
    """What the holder writes into its lock: its pid, its parent's, and the time."""
    facts = {"pid": os.getpid(), "parent": os.getppid(), "started": time.time()}
    return json.dumps(facts, allow_nan=False).encode()


def write_line(file: int, line: bytes) -> None:
    """Replace the content of an open file."""
    os.ftruncate(file, 0)
    os.pwrite(file, line, 0)


def _read_holder(file: int) -> Holder:
    """The holder as written in the lock file; pid 0 if that is not written yet, or no pid."""
    try:
        fields = json.loads(os.pread(file, 4096, 0))
        pid, started, parent = fields["pid"], float(fields["started"]), fields.get("parent", 0)
        return Holder(_plausible(pid), started, parent=_plausible(parent))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Holder(0, 0.0)


def _plausible(pid: object) -> int:
    """A pid of one process, or 0: negative ones name groups, or every process of the user."""
    return pid if type(pid) is int and 0 < pid < _PIDS else 0


def _heartbeat(path: Path) -> Path:
    """The file of a lock's heartbeat."""
    return path.with_name(f"{path.name}.heartbeat")


@contextlib.contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Hold a lock by its heartbeat."""
    file, own = _heartbeat(path), _new_beat()
    _claim(file, own)
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(file, own, ended), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):  # a heartbeat without its process counts for nothing
            file.unlink()


def _claim(file: Path, own: _Beat) -> None:
    """Write the first heartbeat, unless another process lives.

    Raises:
        BlockingIOError: one does.
    """
    if not _create(file, own):
        other = _living(file) or _watched(file)
        if other is not None:
            raise BlockingIOError(errno.EWOULDBLOCK, f"{other.host} holds the lock", str(file))
        _write(file, own)
        time.sleep(_SETTLE_S)
        winner = _read(file)
        if winner is None or winner.token != own.token:
            raise BlockingIOError(errno.EWOULDBLOCK, "another process was faster", str(file))


def _beat(file: Path, own: _Beat, ended: threading.Event) -> None:
    """Write a heartbeat every few seconds; end the process if another one has taken the lock."""
    while not ended.wait(BEAT_S):
        other = _read(file)
        if other is not None and other.token != own.token:
            line = f"tmssl: {other.host} has taken {file} over while this process stood still; it ends\n"
            os.write(2, line.encode("utf-8", "replace"))
            os._exit(_TAKEN_OVER)  # anything written now would mix with what the other one writes
        with contextlib.suppress(OSError):  # a full disk, which is tried again
            _write(file, dataclasses.replace(own, beat=time.time()))


def _living(file: Path) -> _Beat | None:
    """The heartbeat of a process that lives, as far as this host can tell; else None."""
    beat = _read(file)
    if beat is None:
        return None
    if beat.place == place() and beat.process:
        return beat if beat.process == process_start(beat.pid) else None
    return beat if abs(time.time() - beat.beat) < DEAD_S else None


def _watched(file: Path) -> _Beat | None:
    """The heartbeat of another host that looks dead and changes when it is watched; else None."""
    seen = _read(file)
    if seen is None:  # damaged, or just being written
        time.sleep(_SETTLE_S)
        return _living(file)
    if seen.place == place():
        return None
    deadline = time.monotonic() + _WATCH_S
    while time.monotonic() < deadline:
        now = _read(file)
        if now is not None and now != seen:
            return now
        time.sleep(0.2)
    return None


def _create(file: Path, own: _Beat) -> bool:
    """Write a heartbeat where there is none; whether there was none."""
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(opened, "wb") as new:
        new.write(json.dumps(dataclasses.asdict(own), allow_nan=False).encode())
    return True


def _write(file: Path, beat: _Beat) -> None:
    """Replace a heartbeat."""
    with atomic_path(file) as fresh:
        fresh.write_bytes(json.dumps(dataclasses.asdict(beat), allow_nan=False).encode())


def _read(file: Path) -> _Beat | None:
    """The heartbeat in a file; None where there is none, or it is damaged."""
    try:
        with os.fdopen(open_plain(file, os.O_RDONLY), "rb") as opened:
            fields = json.loads(opened.read(4096))
        token, process, place, host = (
            str(fields[name]) for name in ("token", "process", "place", "host")
        )
        started, beat = float(fields["started"]), float(fields["beat"])
        return _Beat(token, _plausible(fields["pid"]), process, place, host, started, beat)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _new_beat() -> _Beat:
    """The first heartbeat of this process."""
    now, pid = time.time(), os.getpid()
    host = socket.gethostname()
    return _Beat(uuid.uuid4().hex, pid, process_start(pid), place(), host, now, now)
