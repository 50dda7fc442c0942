"""Facts become verdicts: what is fine, what is slow, what stops training, and the way out of it."""

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
_IMAGES_PER_GIB = (
    11.5  # EfficientNet-B0 at 224 px in half precision; estimated, `auto` tries it out
)


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict."""

    name: str
    level: Level
    found: str
    """what is there"""
    advice: str = ""
    """what to do, where something is to be done"""


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
    told = ".".join(map(str, version))
    if version[:2] < _LEAST_PYTHON:
        return Check(name="python", level="bad", found=told, advice="install Python 3.11 or newer")
    return Check(name="python", level="good", found=told)


def torch_checks(found: Torch) -> list[Check]:
    """Torch is new enough, and torchvision is the release made for it."""
    if found.error:
        return [
            Check(
                name="torch",
                level="bad",
                found=safe(found.error, 300),
                advice="install torch and torchvision together, from one place: "
                "pip install --force-reinstall torch torchvision",
            )
        ]
    told = f"{safe(found.torch, 40)}, {f'CUDA {safe(found.cuda, 20)}' if found.cuda else 'without CUDA'}"
    torch, vision = numbers(found.torch), numbers(found.torchvision)
    if torch[:2] < _LEAST_TORCH:
        first = Check(name="torch", level="bad", found=told, advice="install torch 2.6 or newer")
    else:
        first = Check(name="torch", level="good", found=told)
    pair = Check(name="torchvision", level="good", found=safe(found.torchvision, 40))
    if torch[:1] == (_PAIRS_KNOWN_FROM,) and vision[:2] != (0, torch[1] + _PAIRED):
        pair = Check(
            name="torchvision",
            level="bad",
            found=f"{safe(found.torchvision, 40)} is not the release for torch {safe(found.torch, 40)}",
            advice=f"pip install 'torchvision==0.{torch[1] + _PAIRED}.*'",
        )
    return [first, pair]


def gpu_check(found: Torch, driver: str) -> Check:
    """A GPU that torch can use; without one a CPU trains small models."""
    if found.available and found.gpus:
        return _kernels(found, driver)
    built, have = numbers(found.cuda), numbers(driver)
    least = LEAST_DRIVER.get(built[0]) if built else None
    if have and least and have[0] < least:
        newest = max((cuda for cuda, need in LEAST_DRIVER.items() if need <= have[0]), default=None)
        other = f", or a torch built for CUDA {newest}" if newest else ""
        return Check(
            name="gpu",
            level="bad",
            found=f"driver {safe(driver, 30)} is too old for this CUDA build: "
            f"CUDA {safe(found.cuda, 20)} needs {least} or newer",
            advice=f"choose a machine with driver {least} or newer{other} "
            "(https://pytorch.org/get-started/previous-versions)",
        )
    if have and not built and not found.error:
        return Check(
            name="gpu",
            level="warning",
            found="there is an NVIDIA driver, and this torch has no CUDA",
            advice="install a CUDA build of torch and torchvision; the CPU would train",
        )
    if have:
        return Check(
            name="gpu",
            level="bad",
            found=f"CUDA does not work: {safe(found.cuda_error, 200) or 'no GPU seen'}",
            advice="look at nvidia-smi and CUDA_VISIBLE_DEVICES; --device cpu trains without it",
        )
    return Check(
        name="gpu",
        level="warning",
        found="none, so the CPU trains",
        advice="good for the demo; 100,000 marks want a GPU",
    )


def _kernels(found: Torch, driver: str) -> Check:
    """The GPUs, and whether this torch has kernels for them."""
    told = f"{len(found.gpus)} x {safe(found.gpus[0], 60)}, {found.gpu_bytes / GIB:.1f} GiB"
    told += f", driver {safe(driver, 30)}" if driver else ""
    mine = numbers(found.capability.removeprefix("sm_"))
    built = [numbers(one.partition("_")[2]) for one in found.built_for]
    known = [one[0] for one in built if one]
    if mine and known and not min(known) <= mine[0] <= max(known) + 9:
        return Check(
            name="gpu",
            level="bad",
            found=f"{told}: this torch has no kernels for {found.capability}",
            advice="install a torch built for this GPU's generation",
        )
    return Check(name="gpu", level="good", found=told)


def cores_check(cores: float, machine: int) -> Check:
    """Cores that this process may use."""
    told = f"{cores:.4g} of {machine}" if cores < machine else f"{machine}"
    if cores < 2:
        return Check(
            name="cores",
            level="warning",
            found=told,
            advice="one core decodes and feeds slowly: look at `data wait` in the monitor",
        )
    return Check(name="cores", level="good", found=told)


def memory_check(memory: int) -> Check:
    """RAM that this process may use."""
    told = f"{memory / GIB:.1f} GiB"
    if memory < 2 * GIB:
        return Check(name="memory", level="bad", found=told, advice="training needs 2 GiB")
    if memory < 8 * GIB:
        return Check(
            name="memory",
            level="warning",
            found=told,
            advice="enough for small models; 8 GiB keep the pack in the page cache",
        )
    return Check(name="memory", level="good", found=told)


def shared_memory_check(size: int) -> Check:
    """/dev/shm, which NCCL between several GPUs needs."""
    told = f"{size / GIB:.2g} GiB of /dev/shm"
    if size < GIB >> 2:
        return Check(
            name="shared memory",
            level="warning",
            found=told,
            advice="several GPUs need more: start the container with --shm-size=1g",
        )
    return Check(name="shared memory", level="good", found=told)


def disk_checks(disk: Disk) -> list[Check]:
    """Room and speed where runs are kept."""
    where = safe(disk.path, 100)
    if disk.write_s is None:
        return [
            Check(
                name="disk",
                level="bad",
                found=f"{where} cannot be written",
                advice="choose another folder with --runs",
            )
        ]
    told = (
        f"{disk.free / GIB:.1f} GiB free, {disk.write_s / (1 << 20):.0f} MiB/s synced, at {where}"
    )
    if disk.free < GIB:
        return [Check(name="disk", level="bad", found=told, advice="make room: 1 GiB at least")]
    if disk.free < 10 * GIB:
        return [
            Check(
                name="disk",
                level="warning",
                found=told,
                advice="a pack of 500,000 marks takes 2 to 15 GB, checkpoints 0.1 to 1 GB",
            )
        ]
    if disk.write_s < 20 * (1 << 20):
        return [
            Check(name="disk", level="warning", found=told, advice="slow: checkpoints will stall")
        ]
    return [Check(name="disk", level="good", found=told)]


def terminal_checks(terminal: Terminal) -> list[Check]:
    """What the monitor can show here; none of it stops training."""
    if not terminal.columns:
        return [Check(name="terminal", level="good", found="none; output is plain")]
    told = f"{terminal.columns}x{terminal.lines}, colours {terminal.colours}, images by {terminal.images}"
    told += f", in {terminal.multiplexer}" if terminal.multiplexer else ""
    advice = []
    if terminal.columns < 80 or terminal.lines < 24:
        advice.append("make it 80x24 at least")
    if not terminal.utf8:
        advice.append("export LANG=C.UTF-8 for curves and pictures")
    if terminal.colours in ("none", "16"):
        advice.append("set TERM=xterm-256color and COLORTERM=truecolor if it can")
    if not terminal.multiplexer:
        told += ", not in tmux (training survives a lost connection all the same)"
    level: Level = "warning" if advice else "good"
    return [Check(name="terminal", level=level, found=told, advice="; ".join(advice))]


def recommended(gpu_bytes: int) -> tuple[int, int]:
    """(batch_size, chunk_size) for EfficientNet-B0 at 224 px; bytes 0 is a CPU.

    N = 1024 on any GPU, since chunks make N independent of memory; the chunk is the largest power of
    two that 11.5 images a GiB allow: 128 on 12 GB, 256 on 24 GB. An estimate: `--chunk-size auto` tries.
    """
    if not gpu_bytes:
        return 64, 32
    room = max(2, int(gpu_bytes / GIB * _IMAGES_PER_GIB))
    return 1024, min(1024, 1 << (room.bit_length() - 1))


def settings_check(found: Torch) -> Check:
    """What to begin with on this machine."""
    batch, chunk = recommended(found.gpu_bytes if found.available else 0)
    gpus = f" --gpus {len(found.gpus)}" if found.available and len(found.gpus) > 1 else ""
    about = count(len(found.gpus), "GPU") if found.available and found.gpus else "the CPU"
    return Check(
        name="settings",
        level="good",
        found=f"for {about}: --batch-size {batch * max(1, len(found.gpus) if gpus else 1)} --chunk-size {chunk}{gpus}"
        " (an estimate for EfficientNet-B0 at 224 px; --chunk-size auto tries it out)",
    )
