"""Facts -> verdicts: what is fine, what is slow, what stops training, and what to do about it."""

import re
from typing import Literal

import msgspec

from tmssl.doctor.facts import GIB, Disk, Facts, Terminal, Torch
from tmssl.text import count, safe

Level = Literal["good", "warning", "bad"]

# The least driver for each major version of CUDA (minor version compatibility):
# https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html, Table 1.
LEAST_DRIVER = {11: 450, 12: 525, 13: 580}
_PAIRED = 15  # torchvision 0.(N + 15) belongs to torch 2.N: https://github.com/pytorch/vision#installation

_LEAST_PYTHON = (3, 11)
_LEAST_TORCH, _PAIRS_KNOWN_FROM = (2, 6), 2
# EfficientNet-B0 at 224 px in half precision: an estimate, which `--chunk-size auto` replaces by a trial.
_IMAGES_PER_GIB = 11.5


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict."""

    name: str
    level: Level
    found: str
    """what is there"""
    advice: str = ""
    """what to do; empty where nothing is to be done"""


def _good(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name=name, level="good", found=found)


def _warning(name: str, found: str, advice: str) -> Check:
    """Training works, slowly or with less."""
    return Check(name=name, level="warning", found=found, advice=advice)


def _bad(name: str, found: str, advice: str) -> Check:
    """Training cannot work."""
    return Check(name=name, level="bad", found=found, advice=advice)


def verdicts(facts: Facts) -> list[Check]:
    """All verdicts on a machine; training cannot work when one of them is `bad`."""
    return [
        python_check(facts.python),
        *torch_checks(facts.torch),
        gpu_check(facts.torch, facts.driver),
        cores_check(facts.cores, facts.machine_cores),
        memory_check(facts.memory),
        shared_memory_check(facts.shared_memory),
        *disk_checks(facts.disk),
        *terminal_checks(facts.terminal),
        settings_check(facts.torch),
    ]


def can_train(checks: list[Check]) -> bool:
    """Whether nothing stops training."""
    return all(check.level != "bad" for check in checks)


def numbers(version: str) -> tuple[int, ...]:
    """`2.6.0+cu124` as (2, 6, 0); empty when it does not begin with a number."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def python_check(version: tuple[int, int, int]) -> Check:
    """Python is new enough."""
    state = ".".join(map(str, version))
    if version[:2] < _LEAST_PYTHON:
        return _bad("python", state, "install Python 3.11 or newer")
    return _good("python", state)


def torch_checks(torch: Torch) -> list[Check]:
    """Torch is new enough, and torchvision is the release made for it."""
    if torch.error:
        return [
            _bad(
                "torch",
                safe(torch.error, 300),
                "install torch and torchvision together, from one place: "
                "pip install --force-reinstall torch torchvision",
            )
        ]
    cuda = f"CUDA {safe(torch.cuda, 20)}" if torch.cuda else "without CUDA"
    state = f"{safe(torch.torch, 40)}, {cuda}"
    version, vision = numbers(torch.torch), numbers(torch.torchvision)
    if version[:2] < _LEAST_TORCH:
        first = _bad("torch", state, "install torch 2.6 or newer")
    else:
        first = _good("torch", state)
    pair = _good("torchvision", safe(torch.torchvision, 40))
    if version[:1] == (_PAIRS_KNOWN_FROM,) and vision[:2] != (0, version[1] + _PAIRED):
        pair = _bad(
            "torchvision",
            f"{safe(torch.torchvision, 40)} is not the release for torch {safe(torch.torch, 40)}",
            f"pip install 'torchvision==0.{version[1] + _PAIRED}.*'",
        )
    return [first, pair]


def gpu_check(torch: Torch, driver: str) -> Check:
    """A GPU that torch can use; without one a CPU trains small models."""
    if torch.available and torch.gpus:
        return _kernels(torch, driver)
    built, have = numbers(torch.cuda), numbers(driver)
    least = LEAST_DRIVER.get(built[0]) if built else None
    if have and least and have[0] < least:
        newest = max((cuda for cuda, need in LEAST_DRIVER.items() if need <= have[0]), default=None)
        other = f", or a torch built for CUDA {newest}" if newest else ""
        return _bad(
            "gpu",
            f"driver {safe(driver, 30)} is too old for this CUDA build: "
            f"CUDA {safe(torch.cuda, 20)} needs {least} or newer",
            f"choose a machine with driver {least} or newer{other} "
            "(https://pytorch.org/get-started/previous-versions)",
        )
    if have and not built and not torch.error:
        return _warning(
            "gpu",
            "there is an NVIDIA driver, and this torch has no CUDA",
            "install a CUDA build of torch and torchvision; the CPU would train",
        )
    if have:
        return _bad(
            "gpu",
            f"CUDA does not work: {safe(torch.cuda_error, 200) or 'no GPU seen'}",
            "look at nvidia-smi and CUDA_VISIBLE_DEVICES; --device cpu trains without it",
        )
    return _warning("gpu", "none, so the CPU trains", "good for the demo; 100,000 marks want a GPU")


def _kernels(torch: Torch, driver: str) -> Check:
    """The GPUs, and whether this torch has kernels for them."""
    state = f"{len(torch.gpus)} x {safe(torch.gpus[0], 60)}, {torch.gpu_bytes / GIB:.1f} GiB"
    state += f", driver {safe(driver, 30)}" if driver else ""
    mine = numbers(torch.capability.removeprefix("sm_"))
    built = [numbers(one.partition("_")[2]) for one in torch.built_for]
    known = [one[0] for one in built if one]
    if mine and known and not min(known) <= mine[0] <= max(known) + 9:
        return _bad(
            "gpu",
            f"{state}: this torch has no kernels for {torch.capability}",
            "install a torch built for this GPU's generation",
        )
    return _good("gpu", state)


def cores_check(cores: float, machine: int) -> Check:
    """Cores that this process may use."""
    state = f"{cores:.4g} of {machine}" if cores < machine else f"{machine}"
    if cores < 2:
        return _warning(
            "cores", state, "one core decodes and feeds slowly: look at `data wait` in the monitor"
        )
    return _good("cores", state)


def memory_check(memory: int) -> Check:
    """RAM that this process may use."""
    state = f"{memory / GIB:.1f} GiB"
    if memory < 2 * GIB:
        return _bad("memory", state, "training needs 2 GiB")
    if memory < 8 * GIB:
        return _warning(
            "memory", state, "enough for small models; 8 GiB keep the pack in the page cache"
        )
    return _good("memory", state)


def shared_memory_check(size: int) -> Check:
    """/dev/shm, which NCCL between several GPUs needs; macOS has none and needs none."""
    if not size:
        return _good("shared memory", "no /dev/shm, which only several GPUs need")
    state = f"{size / GIB:.2g} GiB of /dev/shm"
    if size < GIB >> 2:
        return _warning(
            "shared memory", state, "several GPUs need more: start the container with --shm-size=1g"
        )
    return _good("shared memory", state)


def disk_checks(disk: Disk) -> list[Check]:
    """Room and speed where runs are kept."""
    where = safe(disk.path, 100)
    if disk.write_s is None:
        return [_bad("disk", f"{where} cannot be written", "choose another folder with --runs")]
    speed = disk.write_s / (1 << 20)
    state = f"{disk.free / GIB:.1f} GiB free, {speed:.0f} MiB/s synced, at {where}"
    if disk.free < GIB:
        return [_bad("disk", state, "make room: 1 GiB at least")]
    if disk.free < 10 * GIB:
        return [
            _warning(
                "disk", state, "a pack of 500,000 marks takes 2 to 15 GB, checkpoints 0.1 to 1 GB"
            )
        ]
    if disk.write_s < 20 * (1 << 20):
        return [_warning("disk", state, "slow: checkpoints will stall")]
    return [_good("disk", state)]


def terminal_checks(terminal: Terminal) -> list[Check]:
    """What the monitor can show here; none of it stops training."""
    if not terminal.columns:
        return [_good("terminal", "none; output is plain")]
    state = f"{terminal.columns}x{terminal.lines}, colours {terminal.colours}, images by {terminal.images}"
    state += f", in {terminal.multiplexer}" if terminal.multiplexer else ""
    advice = []
    if terminal.columns < 80 or terminal.lines < 24:
        advice.append("make it 80x24 at least")
    if not terminal.utf8:
        advice.append("export LANG=C.UTF-8 for curves and pictures")
    if terminal.colours in ("none", "16"):
        advice.append("set TERM=xterm-256color and COLORTERM=truecolor if it can")
    if not terminal.multiplexer:
        state += ", not in tmux (training survives a lost connection all the same)"
    if advice:
        return [_warning("terminal", state, "; ".join(advice))]
    return [_good("terminal", state)]


def recommended(gpu_bytes: int) -> tuple[int, int]:
    """(batch_size, chunk_size) for EfficientNet-B0 at 224 px; bytes 0 is a CPU.

    N = 1024 on any GPU, since chunks make N independent of memory; the chunk is the largest power of
    two that 11.5 images a GiB allow: 128 on 12 GB, 256 on 24 GB. An estimate: `--chunk-size auto` tries.
    """
    if not gpu_bytes:
        return 64, 32
    room = max(2, int(gpu_bytes / GIB * _IMAGES_PER_GIB))
    return 1024, min(1024, 1 << (room.bit_length() - 1))


def settings_check(torch: Torch) -> Check:
    """What to begin with on this machine."""
    batch, chunk = recommended(torch.gpu_bytes if torch.available else 0)
    seen = len(torch.gpus) if torch.available else 0
    gpus = f" --gpus {seen}" if seen > 1 else ""
    about = count(seen, "GPU") if seen else "the CPU"
    batch *= max(1, seen)
    return _good(
        "settings",
        f"for {about}: --batch-size {batch} --chunk-size {chunk}{gpus}"
        " (an estimate for EfficientNet-B0 at 224 px; --chunk-size auto tries it out)",
    )
