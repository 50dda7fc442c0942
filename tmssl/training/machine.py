"""The device, versions, commit and marks of a run, for its journal."""

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

from tmssl.data.pack.reader import Pack
from tmssl.doctor.machine import usable_cores
from tmssl.runs.events import Started

try:
    import pynvml
except ModuleNotFoundError:  # the extra `gpu` is not installed
    pynvml = None


def nvml_name(device: torch.device) -> bytes:
    """NVML's name of a CUDA device, which CUDA_VISIBLE_DEVICES does not change."""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return (uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}").encode()


def gpu_use(device: torch.device) -> float | None:
    """Share of the last moments in which a GPU was computing, 0 to 1.

    None on a CPU, without nvidia-ml-py, and where the driver or device has no such figure, as MIG.
    """
    if device.type != "cuda" or pynvml is None:
        return None
    name = nvml_name(device)
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


_LIBRARIES = ("tmssl", "torch", "torchvision", "timm", "numpy", "blosc2")


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that decide the figures."""
    libraries = {name: importlib.metadata.version(name) for name in _LIBRARIES}
    return {"python": platform.python_version(), **libraries}


def device_name(device: torch.device, ranks: int = 1) -> str:
    """`NVIDIA GeForce RTX 4090`, `2 x NVIDIA GeForce RTX 4090`, or `cpu, 2 cores`."""
    name = f"cpu, {usable_cores():g} cores"
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return f"{ranks} x {name}" if ranks > 1 else name


def code_commit() -> str:
    """The git commit of this code where it runs from a checkout, else empty."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # no git on this machine
        return ""
    return result.stdout.strip()


def started_event(name: str, pack: Pack, device: str) -> Started:
    """The first event of the journal of a run of this name, trained on a pack by a device of this name."""
    validation = pack.marks.column("split", str, "").count("validation")
    return Started(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        host=platform.node(),
        device=device,
        versions=versions(),
        commit=code_commit(),
        data_fingerprint=pack.fingerprint,
        counts={
            "marks": pack.count,
            "train": pack.count - validation,
            "validation": validation,
            "with_codes": sum(map(bool, pack.marks.codes())),
            "quarantined": len(pack.quarantine),
        },
    )
