"""All facts of this machine, gathered for `tmssl doctor`."""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from tmssl.doctor.facts import Disk, Facts, Torch
from tmssl.doctor.machine import read_text, usable_cores, usable_memory
from tmssl.doctor.terminal import terminal
from tmssl.system import NVIDIA_DRIVER, SHARED_MEMORY, started_environment

_WRITTEN = 32 << 20  # bytes written to measure a disk


def gather(torch: Torch, runs_folder: Path) -> Facts:
    """The facts of this machine."""
    return Facts(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        torch=torch,
        driver=driver_version(),
        cores=usable_cores(),
        machine_cores=os.cpu_count() or 1,
        memory=usable_memory(),
        shared_memory=_size(SHARED_MEMORY),
        disk=measured_disk(runs_folder),
        terminal=terminal(started_environment()),
    )


def driver_version() -> str:
    """Version of NVIDIA's driver, by NVML where nvidia-ml-py is installed, else from /proc; empty without one."""
    try:
        import pynvml
    except ImportError:
        return parsed_driver(read_text(NVIDIA_DRIVER))
    try:
        pynvml.nvmlInit()
        version = pynvml.nvmlSystemGetDriverVersion()
        pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return parsed_driver(read_text(NVIDIA_DRIVER))
    return str(version)


def parsed_driver(text: str) -> str:
    """The version in the text of /proc/driver/nvidia/version; empty where there is none."""
    words = text.split("\n")[0].split()
    return next((word for word in words if word[0].isdigit() and word.count(".") >= 1), "")


def measured_disk(folder: Path) -> Disk:
    """Room and speed under a folder, or under the nearest one above it that exists."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    probe = folder / f".tmssl-doctor-{os.getpid()}"
    block = os.urandom(1 << 20)
    try:
        start = time.perf_counter()
        with probe.open("wb") as file:
            for _ in range(min(_WRITTEN, free // 2) >> 20):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        seconds = time.perf_counter() - start
    except OSError:
        return Disk(path=str(folder.resolve()), free=free)
    finally:
        with contextlib.suppress(OSError):  # a folder that may not be searched
            probe.unlink(missing_ok=True)
    return Disk(path=str(folder.resolve()), free=free, write_s=size / max(seconds, 1e-6))


def _size(path: Path) -> int:
    """Bytes that a file system holds, 0 without one."""
    return shutil.disk_usage(path).total if path.is_dir() else 0
