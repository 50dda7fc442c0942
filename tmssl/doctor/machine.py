"""Cores, memory, disk and terminal as this process may use them."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tmssl.doctor.facts import Disk, Facts, Terminal, Torch

_TRIED = 32 << 20  # bytes written to measure a disk
_NO_LIMIT = 1 << 60  # control groups of version 1 write a huge number for none


def gather(torch: Torch, runs_folder: Path) -> Facts:
    """The facts of this machine."""
    return Facts(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        torch=torch,
        driver=driver_version(),
        cores=usable_cores(),
        machine_cores=os.cpu_count() or 1,
        memory=usable_memory(),
        shared_memory=_size(Path("/dev/shm")),
        disk=measured_disk(runs_folder),
        terminal=terminal(os.environ),
    )


def driver_version() -> str:
    """Version of NVIDIA's driver: by NVML where its Python binding is, else from /proc; or nothing."""
    try:
        import pynvml
    except ImportError:
        return parsed_driver(_text(Path("/proc/driver/nvidia/version")))
    try:
        pynvml.nvmlInit()
        told = pynvml.nvmlSystemGetDriverVersion()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return parsed_driver(_text(Path("/proc/driver/nvidia/version")))
    return str(told)


def parsed_driver(text: str) -> str:
    """The version in /proc/driver/nvidia/version, or nothing."""
    words = text.split("\n")[0].split()
    return next((word for word in words if word[0].isdigit() and word.count(".") >= 1), "")


def usable_cores(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores by affinity and by the quota of the control group, of version 2 or 1."""
    allowed = float(len(os.sched_getaffinity(0)))
    words = _text(root / "cpu.max").split() or [
        _text(root / "cpu/cpu.cfs_quota_us").strip(),
        _text(root / "cpu/cpu.cfs_period_us").strip(),
    ]
    if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]):
        return min(allowed, int(words[0]) / int(words[1]))
    return allowed


def usable_memory(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of RAM by the machine and by the limit of the control group."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        told = _text(root / name).strip()
        if told.isdecimal() and int(told) < _NO_LIMIT:
            physical = min(physical, int(told))
    return physical


def measured_disk(folder: Path) -> Disk:
    """Room and speed under a folder, or under the nearest one above it that exists."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    tried = folder / f".tmssl-doctor-{os.getpid()}"
    block = os.urandom(1 << 20)
    try:
        begun = time.perf_counter()
        with tried.open("wb") as file:
            for _ in range(min(_TRIED, free // 2) >> 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        seconds = time.perf_counter() - begun
    except OSError:
        return Disk(path=str(folder.resolve()), free=free)
    finally:
        with contextlib.suppress(OSError):  # a folder that may not be searched
            tried.unlink(missing_ok=True)
    return Disk(path=str(folder.resolve()), free=free, write_s=size / max(seconds, 1e-6))


def terminal(environment: Mapping[str, str]) -> Terminal:
    """What size and environment say of the terminal; nothing is asked of it."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    return Terminal(
        columns=size.columns,
        lines=size.lines,
        colours=colours(environment),
        images=image_protocol(environment),
        multiplexer=multiplexer(environment),
        utf8=is_utf8(environment),
    )


def colours(environment: Mapping[str, str]) -> str:
    """`none`, `16`, `256` or `true`, as programs take it from the environment."""
    term = environment.get("TERM", "dumb")
    if environment.get("NO_COLOR") or term in ("dumb", ""):
        return "none"
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit") or "direct" in term:
        return "true"
    return "256" if "256" in term or term in ("xterm-kitty", "xterm-ghostty") else "16"


def image_protocol(environment: Mapping[str, str]) -> str:
    """How full pictures can be shown; inside tmux none passes through, so half blocks stay."""
    term, program = environment.get("TERM", "dumb"), environment.get("TERM_PROGRAM", "")
    if term in ("dumb", ""):
        return "none"
    if multiplexer(environment):
        return "blocks"
    if "kitty" in term or "ghostty" in term or "KITTY_WINDOW_ID" in environment:
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    return "sixel" if term.startswith(("foot", "mlterm")) else "blocks"


def multiplexer(environment: Mapping[str, str]) -> str:
    """`tmux`, `screen` or nothing."""
    if environment.get("TMUX"):
        return "tmux"
    return "screen" if environment.get("STY") else ""


def is_utf8(environment: Mapping[str, str]) -> bool:
    """Whether the locale's letters are UTF-8: the first of LC_ALL, LC_CTYPE and LANG that is set."""
    names = ("LC_ALL", "LC_CTYPE", "LANG")
    told = next((environment[name] for name in names if environment.get(name)), "")
    return "utf" in told.lower()


def _text(path: Path) -> str:
    """A small system file, or nothing where there is none."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _size(path: Path) -> int:
    """Bytes that a file system holds, 0 without one."""
    return shutil.disk_usage(path).total if path.is_dir() else 0
