"""How many images go through the encoder at once: what the memory takes, found or learnt the hard way."""

import contextlib
import copy
import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from tmssl.training.moco import MoCo, moco_step

_SHARE_CPU = (
    0.5  # of the memory may go to activations: the pack's cache and other processes live there too
)
_SHARE_CUDA = 0.9
_SMALLEST = 2  # a BN layer cannot train on one

Autocast = Callable[[], contextlib.AbstractContextManager[object]]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether an error is one that a smaller chunk may cure; cuDNN without memory finds no engine."""
    told = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in told
        for words in ("can't allocate memory", "STATUS_ALLOC_FAILED", "unable to find an engine")
    )


def halved(chunk_size: int) -> int | None:
    """The next chunk to try, or None where there is no smaller one."""
    return max(_SMALLEST, chunk_size // 2) if chunk_size > _SMALLEST else None


def memory_bytes(device: torch.device) -> int:
    """Memory of a GPU that other programs leave us, or of this machine as its control group allows."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [physical]
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        if Path(path).is_file():
            told = Path(path).read_text("ascii").strip()
            limits += [int(told)] if told.isdecimal() else []
    return min(limits)


def activation_bytes(model: MoCo, image_size: int) -> int:
    """What autograd keeps for one image more in a chunk of queries, measured on a small chunk."""
    device = next(model.parameters()).device
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def kept(count: int) -> int:
        held: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                held[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            query, _ = model(_blank(count, image_size, device))
        del query
        return sum(held.values())

    return max(1, (kept(4) - kept(2)) // 2)


def _blank(count: int, image_size: int, device: torch.device) -> Tensor:
    """White views."""
    views = torch.zeros(count, 3, image_size, image_size, device=device)
    return views.contiguous(memory_format=torch.channels_last)


def fitting_chunk(model: MoCo, batch_size: int, image_size: int, autocast: Autocast) -> int:
    """The largest chunk that fits, at most the batch: by trying on a GPU, by measure on a CPU.

    A GPU says when its memory is full; a CPU would swap or be killed, so there the activations of
    one image are measured and half of the memory is shared out. `model` is left as it was.
    """
    device = next(model.parameters()).device
    probe = copy.deepcopy(model).train()
    if device.type != "cuda":
        room = int(memory_bytes(device) * _SHARE_CPU)
        return max(_SMALLEST, min(batch_size, room // activation_bytes(probe, image_size)))
    views = _blank(batch_size, image_size, device)

    def fits(chunk_size: int) -> bool:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        try:
            with autocast():
                moco_step(
                    probe,
                    views,
                    views,
                    temperature=1.0,
                    chunk_size=chunk_size,
                    backward=torch.autograd.backward,
                )
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            return False
        return torch.cuda.max_memory_allocated(device) < _SHARE_CUDA * memory_bytes(device)

    found = largest_fitting(batch_size, fits)
    probe.zero_grad(set_to_none=True)
    return found


def largest_fitting(batch_size: int, fits: Callable[[int], bool]) -> int:
    """The first of N, N / 2, N / 4, ... that fits, or the smallest chunk there is."""
    chunk_size = batch_size
    while not fits(chunk_size):
        smaller = halved(chunk_size)
        if smaller is None:
            return chunk_size
        chunk_size = smaller
    return chunk_size
