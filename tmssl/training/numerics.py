"""How this process computes: denormals, TF32, determinism and the memory it keeps."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def set_numerics(device: torch.device, *, deterministic: bool) -> None:
    """Flush denormals, which slow a CPU many times over late in training, and allow TF32 on a GPU.

    Deterministic means bitwise the same on every run, without TF32 and the fastest kernels.
    """
    torch.set_flush_denormal(True)
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # required by cuBLAS
    elif device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    torch.use_deterministic_algorithms(deterministic)


def keep_freed_memory() -> None:
    """Let glibc keep the memory that a step frees, since the next step needs as much again.

    Otherwise it returns each large block to the kernel and faults it in anew: on a CPU that is a third
    of the time that two views of 224 px take. The peak stays the same.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_MMAP_THRESHOLD, 2**30)


@contextlib.contextmanager
def restored_numerics() -> Iterator[None]:
    """Undo `set_numerics` at the end of the block, for a process that does more than train."""
    tf32, benchmark = torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision(tf32)
        torch.backends.cudnn.benchmark = benchmark
