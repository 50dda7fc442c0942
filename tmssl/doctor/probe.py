"""`python -m tmssl.doctor.probe`: import torch and its kin, try CUDA, print the facts as JSON.

It runs in another process, since a broken library or driver can kill or hang the process that loads it.
"""

import subprocess
import sys

import msgspec

from tmssl.children import python_module
from tmssl.doctor.facts import Torch

_TIMEOUT_S = 180.0


def probe_torch(timeout_s: float = _TIMEOUT_S) -> Torch:
    """The facts about torch, from a child process; a child that dies or hangs becomes the fact `error`."""
    try:
        done = subprocess.run(
            python_module("tmssl.doctor.probe"),
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Torch(error=f"importing torch and asking for GPUs took more than {timeout_s:.0f} s")
    try:
        return msgspec.json.decode(done.stdout.strip().rpartition(b"\n")[2], type=Torch)
    except msgspec.DecodeError:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return Torch(error=lines[-1] if lines else f"it ended with code {done.returncode}")


def import_torch() -> Torch:
    """The facts about torch, from this process."""
    try:
        import timm
        import torch
        import torchvision
    except (ImportError, OSError, RuntimeError) as error:
        return Torch(error=f"{type(error).__name__}: {error}")
    names = [str(module.__version__) for module in (torch, torchvision, timm)]
    facts = Torch(
        torch=names[0], torchvision=names[1], timm=names[2], cuda=torch.version.cuda or ""
    )
    if not facts.cuda:
        return facts
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch gives it no types
        torch.zeros(1, device="cuda").add_(1).item()
        first = torch.cuda.get_device_properties(0)
        return msgspec.structs.replace(
            facts,
            available=True,
            gpu_bytes=first.total_memory,
            gpus=[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
            capability=f"sm_{first.major}{first.minor}",
            built_for=torch.cuda.get_arch_list(),
        )
    except (RuntimeError, AssertionError) as error:
        return msgspec.structs.replace(facts, cuda_error=str(error).splitlines()[0])


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(import_torch()).decode() + "\n")
