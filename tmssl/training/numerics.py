"""How this process computes: denormals, TF32, determinism and the memory it keeps."""

import contextlib
import os
from collections.abc import Iterator

import torch


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
