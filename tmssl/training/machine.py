"""What this run trains on, for the first line of its journal."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

_LIBRARIES = ("tmssl", "torch", "torchvision", "timm", "numpy", "blosc2")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide the figures."""
    found = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **found}


def device_name(device: torch.device) -> str:
    """`NVIDIA GeForce RTX 4090`, or `cpu, 2 cores`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {os.cpu_count()} cores"


def code_commit() -> str:
    """The git commit of this code when it runs from a checkout, else nothing."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        told = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:  # no git on this machine
        return ""
    return told.stdout.strip()


def quick_cpu() -> None:
    """Flush denormals: late in training they slow a CPU down many times over."""
    torch.set_flush_denormal(True)
