"""What this run trains on, for the first line of its journal."""

import contextlib
import ctypes
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

try:
    import pynvml
except ModuleNotFoundError:  # the extra `gpu` is not installed
    pynvml = None


def nvml_name(device: torch.device) -> bytes:
    """The name by which NVIDIA's library knows a CUDA device, whatever CUDA_VISIBLE_DEVICES hides."""
    told = str(torch.cuda.get_device_properties(device).uuid)
    return (told if told.startswith(("GPU-", "MIG-")) else f"GPU-{told}").encode()


def gpu_use(device: torch.device) -> float | None:
    """Share of the last moments in which the device was computing, 0 to 1.

    None on a CPU, without nvidia-ml-py, and where driver or device do not tell, as parts of a GPU.
    """
    if device.type != "cuda" or pynvml is None:
        return None
    return use_by_name(nvml_name(device))


def use_by_name(name: bytes) -> float | None:
    """`gpu_use` of the device of this name; the library is opened and closed again."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no library or no driver
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(name)
        return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
    except pynvml.NVMLError:  # an unknown device, or one that keeps no such figure
        return None
    finally:
        pynvml.nvmlShutdown()


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LIBRARIES = ("tmssl", "torch", "torchvision", "timm", "numpy", "blosc2")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide the figures."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found}


def device_name(device: torch.device, ranks: int = 1) -> str:
    """`NVIDIA GeForce RTX 4090`, `2 x NVIDIA GeForce RTX 4090`, or `cpu, 2 cores`."""
    name = f"cpu, {os.cpu_count()} cores"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{ranks} x {name}" if ranks > 1 else name


def code_commit() -> str:
    """The git commit of this code when it runs from a checkout, else nothing."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        told = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:  # no git on this machine
        return ""
    return told.stdout.strip()


def set_numerics(device: torch.device, *, deterministic: bool) -> None:
    """Flush denormals, which slow a CPU down many times over late in training; TF32 where allowed.

    Deterministic means bitwise the same on every run, for the price of the quickest kernels.
    """
    torch.set_flush_denormal(True)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
    elif device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(deterministic)


def keep_freed_memory() -> None:
    """Let glibc keep the memory that this process frees, for the next step, which needs as much again.

    It would give each large block back to the kernel and fault it in anew: on a CPU that is a third of
    the time that two views of 224 px take. What the process holds at most stays the same.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)


@contextlib.contextmanager
def numerics_of_its_own() -> Iterator[None]:
    """Take back on leaving what `set_numerics` did to the process, for whoever trains inside another."""
    tf32, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(tf32)
        torch.backends.cudnn.benchmark = benchmark
