"""What Linux is asked, with the other answer of macOS and of machines that do not tell; nothing else asks.

Native Windows is refused: it has none of the locks, signals and descriptors that a run lives by.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from tmssl.errors import InputError

_PROC = Path("/proc")
CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""where Linux mounts its control groups; elsewhere there are none, and no limits by them"""
OWN_GROUPS = _PROC / "self/cgroup"
"""the control groups of this process, a line each; missing elsewhere"""
NVIDIA_DRIVER = _PROC / "driver/nvidia/version"
"""what NVIDIA's driver for Linux tells of itself; macOS has none"""
SHARED_MEMORY = Path("/dev/shm")
"""the file system of shared memory; macOS has none that could be full"""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def refuse_windows() -> None:
    """Refuse native Windows, before anything that it lacks is imported. WSL is Linux.

    Raises:
        InputError: this is Windows.
    """
    if sys.platform in ("win32", "cygwin"):
        raise InputError(
            "tmssl runs on Linux and macOS; on Windows, install and start it inside WSL"
        )


def end_on_windows() -> None:
    """End a program on native Windows with one line; each begins with this.

    Raises:
        SystemExit: this is Windows.
    """
    try:
        refuse_windows()
    except InputError as error:
        sys.stderr.write(f"tmssl: {error}\n")
        raise SystemExit(error.exit_code) from None


def started_environment(process: int | str = "self") -> Mapping[str, str]:
    """The environment as it was left to a process of this user.

    Python itself sets LC_CTYPE to a UTF-8 locale where the person's is C or POSIX (PEP 538), and we set more
    for our children. Linux remembers what was there before; elsewhere it is what there is now, and nothing for
    other processes.
    """
    try:
        told = (_PROC / str(process) / "environ").read_bytes()
    except OSError:  # macOS, another user's, or a container that hides it
        return os.environ if process == "self" else {}
    pairs = (entry.partition("=") for entry in os.fsdecode(told).split("\0"))
    return {name: value for name, equals, value in pairs if equals}


def is_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the locale encodes letters as UTF-8: the first of LC_ALL, LC_CTYPE and LANG that is set."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    locale = next((environment[name] for name in names if environment.get(name)), "")
    return locale.lower().replace("-", "").partition("@")[0].endswith("utf8")


def allowed_cores() -> set[int]:
    """The cores of this process's affinity; all of them on macOS, which has no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def peak_memory_gib() -> float:
    """The most memory that this process has used; macOS counts it in bytes, Linux in KiB."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**30 if sys.platform == "darwin" else 2**20)


def limits_address_space() -> bool:
    """Whether a process can be given a limit of address space; macOS refuses one below what is mapped."""
    return sys.platform != "darwin"


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees, since the next step needs as much again.

    Otherwise it returns each large block to the kernel and faults it in anew: on a CPU that is a third
    of the time that two views of 224 px take. The peak stays the same. Other C libraries are left alone.
    """
    import ctypes

    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)


def has_folder_paths() -> bool:
    """Whether open folders have paths, see `open_folder_path`."""
    return (_PROC / "self/fd").is_dir()


def open_folder_path(folder: int) -> Path | None:
    """A path that leads to an open folder, whatever happens to its name; None where there is none, as on macOS."""
    return _PROC / f"self/fd/{folder}" if has_folder_paths() else None


def is_open_folder_path(path: Path) -> bool:
    """Whether a path leads through an open folder, as `open_folder_path` gives it."""
    return path.is_relative_to(_PROC / "self/fd")


def present_path(folder: int) -> str:
    """The present path of an open folder; empty where nobody tells."""
    import fcntl

    with contextlib.suppress(OSError):
        if hasattr(fcntl, "F_GETPATH"):  # macOS
            return os.fsdecode(fcntl.fcntl(folder, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
        return os.readlink(_PROC / f"self/fd/{folder}")  # noqa: PTH115 - no link of a file
    return ""


def pid_space() -> str:
    """What two processes of one host share whose pids mean the same: boot and container; empty on macOS."""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"  # noqa: PTH115 - a link that leads nowhere
    return ""


def process_start(pid: int) -> str:
    """When a process began, in the kernel's count; empty where it has ended, or nothing tells."""
    with contextlib.suppress(OSError, IndexError):
        told = (_PROC / f"{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return "" if told[0] in "ZX" else told[19]
    return ""


@contextlib.contextmanager
def opened_process(pid: int) -> Iterator[Callable[[signal.Signals], None]]:
    """A function that signals a process, and no later one that gets its number, where the kernel can tell.

    Raises:
        ProcessLookupError: there is none.
    """
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError) as error:  # macOS, an old kernel, a container that forbids it
        if isinstance(error, ProcessLookupError):
            raise
        yield partial(os.kill, pid)
        return
    try:
        yield partial(signal.pidfd_send_signal, process)
    finally:
        os.close(process)


def has_open(pid: int, path: Path) -> bool:
    """Whether a process of this machine has a file open: by /proc, or by `lsof`, which macOS has.

    Raises:
        PermissionError: it belongs to another user.
        InputError: nothing here can tell.
    """
    status, files = path.lstat(), _PROC / f"{pid}/fd"
    if not has_folder_paths():
        return pid in _opened_by(path)
    if not files.is_dir():
        return False
    for file in files.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(status, file.stat()):
                return True
    return False


def _opened_by(path: Path) -> list[int]:
    """The processes that have a file open, as `lsof` tells."""
    import subprocess

    try:
        told = subprocess.run(
            ["lsof", "-t", "--", str(path)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise InputError(
            "this machine has neither /proc nor lsof to tell whose process it is; install lsof"
        ) from error
    return [int(word) for word in told.stdout.split() if word.isdecimal()]
