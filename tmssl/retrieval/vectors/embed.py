"""Marks become unit vectors: by a run's encoder, by an untrained one, or by a perceptual hash."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from tmssl.data.pack.pack import PER_CHUNK, Pack
from tmssl.data.phash import HASH_BITS, hash_vectors, unit
from tmssl.data.views.views import plain_view
from tmssl.errors import CheckpointError
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.training.backbone import create_encoder
from tmssl.training.checkpoints.store import Weights
from tmssl.training.numerics import keep_freed_memory
from tmssl.types import Indices, Progress, Vectors

Taken = Callable[[], Vectors]

# A pack is read fastest by its chunks; a CPU's cache holds no more.
_AT_ONCE = {"cuda": PER_CHUNK, "cpu": 32}
_AHEAD = 2  # batches that are read before they are asked for


def trained_encoder(weights: Weights) -> nn.Module:
    """The encoder of a checkpoint."""
    encoder = create_encoder(weights.config.model.name)
    encoder.load_state_dict(weights.encoder)
    return encoder


def untrained_encoder(name: str, seed: int) -> nn.Module:
    """The encoder as it was before the first step of a run with this seed.

    Its BN layers are in their initial state. With the statistics of real marks in them it finds
    less (toy marks, hit@10 by division 0.40 against 0.51), so this is the stronger reference.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_encoder(name)


def embed(
    encoder: nn.Module,
    pack: Pack,
    *,
    image_size: int,
    device: torch.device,
    batch_size: int = 0,
    progress: Progress | None = None,
) -> Vectors:
    """Unit vectors of every mark of a pack.

    While the device computes the vectors of some marks, the next ones are read and sent to it, and
    those before are taken from it. On a CPU the process keeps the memory it frees from here on.

    Args:
        encoder: from (n, 3, s, s) to (n, f).
        pack: the marks.
        image_size: s, the side the encoder was trained at.
        device: where to run it; bfloat16 on CUDA, float32 on a CPU.
        batch_size: images at once; 0 for what suits the device.
        progress: called with (done, total).

    Returns:
        float32 (count, f), rows of norm 1.
    """
    encoder = inference_copy(encoder, device)
    vectors = np.empty((0, 0), np.float32)
    if device.type == "cpu":
        keep_freed_memory()

    def keep(rows: Indices, taken: Taken) -> None:
        nonlocal vectors
        found = taken()
        if not np.isfinite(found).all():
            raise CheckpointError(
                "the encoder's features are not finite numbers; evaluate an earlier checkpoint"
            )
        if rows[0] == 0:
            vectors = np.empty((pack.count, found.shape[1]), np.float32)
        vectors[rows[0] : rows[-1] + 1] = unit(found)
        if progress:
            progress(int(rows[-1]) + 1, pack.count)

    last: tuple[Indices, Taken] | None = None
    for rows, images in _read_ahead(pack, device, batch_size or _AT_ONCE[device.type]):
        taken = _take(forward(encoder, plain_view(images, image_size)))
        if last:
            keep(*last)
        last = rows, taken
    if last:
        keep(*last)
    return vectors


def _take(found: Tensor) -> Taken:
    """Features on their way to the host; calling it waits for them, and for nothing asked of the GPU since."""
    if found.device.type == "cpu":
        return found.numpy
    copied = found.to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream(found.device).record_event()

    def wait() -> Vectors:
        arrived.synchronize()
        features: Vectors = copied.numpy()
        return features

    return wait


def _read_ahead(
    pack: Pack, device: torch.device, batch_size: int
) -> Iterator[tuple[Indices, Tensor]]:
    """Rows and their images on the device, in order, each batch on its way before it is asked for."""
    copies: torch.cuda.Stream | None = None
    if device.type == "cuda":
        copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's

    def read(rows: Indices) -> tuple[Tensor, torch.cuda.Event | None]:
        if copies is None:
            return torch.from_numpy(pack.read(rows)), None
        images = torch.empty(
            (len(rows), pack.size, pack.size, 3), dtype=torch.uint8, pin_memory=True
        )
        pack.read(rows, images.numpy())
        with torch.cuda.stream(copies):
            return images.to(device, non_blocking=True), copies.record_event()

    batches = [
        np.arange(begin, min(begin + batch_size, pack.count))
        for begin in range(0, pack.count, batch_size)
    ]
    with ThreadPoolExecutor(1, thread_name_prefix="pixels") as reader:
        ahead = deque(reader.submit(read, rows) for rows in batches[:_AHEAD])
        for i, rows in enumerate(batches):
            images, copied = ahead.popleft().result()
            if i + _AHEAD < len(batches):
                ahead.append(reader.submit(read, batches[i + _AHEAD]))
            if copied is not None:
                computing = torch.cuda.current_stream(device)
                computing.wait_event(copied)
                images.record_stream(computing)  # its memory is free only when it was used
            yield rows, images


def inference_copy(encoder: nn.Module, device: torch.device) -> nn.Module:
    """A copy of an encoder on a device, without BN layers and in the memory layout that convolutions like.

    It is for evaluation only; see `fold_bn`.
    """
    return fold_bn(encoder).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form


def features(encoder: nn.Module, view: Tensor) -> Vectors:
    """Unit vectors (n, f) of a view, float32 (n, 3, s, s); computed in bfloat16 on CUDA."""
    return unit(forward(encoder, view).cpu().numpy())


def forward(encoder: nn.Module, view: Tensor) -> Tensor:
    """Features, float32 (n, f), of a view, float32 (n, 3, s, s), on a device that may be at work on them still."""
    with (
        torch.inference_mode(),
        torch.autocast(view.device.type, dtype=torch.bfloat16, enabled=view.device.type == "cuda"),
    ):
        found: Tensor = encoder(view.contiguous(memory_format=torch.channels_last))
        return found.float()


def hash_pack(pack: Pack, *, batch_size: int = 128, progress: Progress | None = None) -> Vectors:
    """The perceptual hash of every mark of a pack, (count, 64); see `hash_vectors`."""
    vectors = np.empty((pack.count, HASH_BITS), np.float32)
    for begin in range(0, pack.count, batch_size):
        rows = np.arange(begin, min(begin + batch_size, pack.count))
        grey = torch.from_numpy(pack.read(rows)).float().mean(3)
        vectors[begin : begin + len(rows)] = hash_vectors(grey)
        if progress:
            progress(begin + len(rows), pack.count)
    return vectors


def break_ties(vectors: Vectors, seed: int = 0) -> Vectors:
    """Hashes moved by less than half a bit at random, so that ties fall at random but always alike.

    Without it which of the tied marks are in the first 10 would depend on how many are asked for.
    """
    noise = np.random.default_rng(seed).uniform(-1, 1, vectors.shape).astype(np.float32)
    return unit(vectors + noise / 512)
