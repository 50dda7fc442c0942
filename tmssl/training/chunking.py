"""How many images go through the encoder at once: the largest chunk that fits the memory."""

import contextlib
import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tmssl.doctor.machine import usable_memory
from tmssl.training.moco import MoCo, moco_step

# Shares of the memory for activations; a CPU's also holds the pack's cache and other processes.
_SHARE_CPU, _SHARE_CUDA = 0.5, 0.9
_SMALLEST = 2  # a BN layer cannot train on one

Autocast = Callable[[], contextlib.AbstractContextManager[object]]


def out_of_memory(error: RuntimeError) -> bool:
    """Whether a smaller chunk may avoid an error; cuDNN without memory finds no engine."""
    signs = ("can't allocate memory", "STATUS_ALLOC_FAILED", "unable to find an engine")
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in signs)


def halved(chunk_size: int) -> int | None:
    """The next chunk to try, or None where there is no smaller one."""
    return max(_SMALLEST, chunk_size // 2) if chunk_size > _SMALLEST else None


def memory_bytes(device: torch.device) -> int:
    """Memory of a GPU that other programs do not use, or of this machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    return usable_memory()


def activation_bytes(model: MoCo, image_size: int) -> int:
    """Bytes that autograd keeps for one more image in a chunk of queries, measured on small chunks."""
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def saved_bytes(count: int) -> int:
        sizes: dict[int, int] = {}

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            query, _ = model(_blank(model, count, image_size))
        del query
        return sum(sizes.values())

    return max(1, (saved_bytes(4) - saved_bytes(2)) // 2)


def _blank(model: MoCo, count: int, image_size: int) -> Tensor:
    """White views, or blank features where the model is a linear layer on them."""
    device = next(model.parameters()).device
    if isinstance(model.encoder, nn.Linear):
        return torch.zeros(count, model.encoder.in_features, device=device)
    views = torch.zeros(count, 3, image_size, image_size, device=device)
    return views.contiguous(memory_format=torch.channels_last)


def fitting_chunk(model: MoCo, batch_size: int, image_size: int, autocast: Autocast) -> int:
    """The largest chunk that fits, at most the batch: tried on a GPU, estimated on a CPU.

    A GPU reports that its memory is full. A CPU would swap or be killed, so there it is half of the
    memory divided by the activations of one image. `model` does not change.
    """
    device = next(model.parameters()).device
    probe = copy.deepcopy(model).train()
    if device.type != "cuda":
        room = int(memory_bytes(device) * _SHARE_CPU)
        return max(_SMALLEST, min(batch_size, room // activation_bytes(probe, image_size)))
    views = _blank(probe, batch_size, image_size)

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

    chunk_size = largest_fitting(batch_size, fits)
    probe.zero_grad(set_to_none=True)
    return chunk_size


def largest_fitting(batch_size: int, fits: Callable[[int], bool]) -> int:
    """The first of N, N / 2, N / 4, ... that fits, or the smallest chunk."""
    chunk_size = batch_size
    while not fits(chunk_size):
        smaller = halved(chunk_size)
        if smaller is None:
            return chunk_size
        chunk_size = smaller
    return chunk_size
