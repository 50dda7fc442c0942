"""Marks become unit vectors: by a run's encoder, by an untrained one, or by a perceptual hash."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tmssl.data.pack import Pack
from tmssl.data.phash import HASH_BITS, hash_vectors, unit
from tmssl.data.views import plain_view
from tmssl.training.checkpoint import Weights
from tmssl.training.encoder import create_encoder

Progress = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]


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
    encoder: nn.Module, pack: Pack, *, image_size: int, device: torch.device,
    batch_size: int = 128, progress: Progress | None = None,
) -> Vectors:  # fmt: skip
    """Unit vectors of every mark of a pack.

    Args:
        encoder: from (n, 3, s, s) to (n, f).
        pack: the marks.
        image_size: s, the side the encoder was trained at.
        device: where to run it; bfloat16 on CUDA, float32 on a CPU.
        batch_size: images at once.
        progress: called with (done, total).

    Returns:
        float32 (count, f), rows of norm 1.
    """
    encoder = ready(encoder, device)
    vectors = np.empty((0, 0), np.float32)
    for begin in range(0, pack.count, batch_size):
        rows = np.arange(begin, min(begin + batch_size, pack.count))
        images = torch.from_numpy(pack.read(rows)).to(device, non_blocking=True)
        found = features(encoder, plain_view(images, image_size))
        if begin == 0:
            vectors = np.empty((pack.count, found.shape[1]), np.float32)
        vectors[begin : begin + len(rows)] = found
        if progress:
            progress(begin + len(rows), pack.count)
    return vectors


def ready(encoder: nn.Module, device: torch.device) -> nn.Module:
    """An encoder on its device, in the memory layout that convolutions like, for evaluation only."""
    return encoder.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form


def features(encoder: nn.Module, view: Tensor) -> Vectors:
    """Unit vectors (n, f) of a view, float32 (n, 3, s, s); computed in bfloat16 on CUDA."""
    with (
        torch.inference_mode(),
        torch.autocast(view.device.type, dtype=torch.bfloat16, enabled=view.device.type == "cuda"),
    ):
        return unit(
            encoder(view.contiguous(memory_format=torch.channels_last)).float().cpu().numpy()
        )


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


def apart(vectors: Vectors, seed: int = 0) -> Vectors:
    """Hashes moved by less than half a bit at random, so that ties fall at random but always alike.

    Without it which of the tied marks are in the first 10 would depend on how many are asked for.
    """
    noise = np.random.default_rng(seed).uniform(-1, 1, vectors.shape).astype(np.float32)
    return unit(vectors + noise / 512)
