"""Pixels -> unit vectors: by a trained or untrained encoder, or by a perceptual hash.

What makes these alike to an evaluation is in descriptor.py.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from tmssl.data.pack.frame import PER_CHUNK
from tmssl.data.pack.reader import Pack
from tmssl.data.phash import hash_vectors, l2_normalize
from tmssl.data.views.augment import plain_view
from tmssl.errors import CheckpointError
from tmssl.retrieval.vectors.fold_bn import fold_bn
from tmssl.system import keep_freed_memory
from tmssl.training.checkpoints.store import Weights
from tmssl.training.encoder.backbone import restored_encoder
from tmssl.training.encoder.weights import create_trunk
from tmssl.types import Indices, Progress, Vectors

# A pack is read fastest by its chunks; a CPU's cache holds no more.
_BATCH = {"cuda": PER_CHUNK, "cpu": 32}
_PREFETCHED = 2  # batches


def trained_encoder(weights: Weights) -> nn.Module:
    """The encoder of a checkpoint."""
    return restored_encoder(weights.config.model, weights.encoder)


def untrained_encoder(name: str, seed: int) -> nn.Module:
    """The encoder before the first step of a run with this seed.

    Its BN layers keep their initial statistics: with those of real marks it finds less (toy marks,
    hit@10 by division 0.40 against 0.51), so this is the stronger reference.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return create_trunk(name)


def embed_pack(
    encoder: nn.Module,
    pack: Pack,
    *,
    image_size: int,
    device: torch.device,
    batch_size: int = 0,
    progress: Progress | None = None,
) -> Vectors:
    """Unit vectors of every mark of a pack, float32 (count, f); as for `embed_ranges`."""
    (vectors,) = embed_ranges(
        encoder,
        pack,
        [range(pack.count)],
        image_size=image_size,
        device=device,
        batch_size=batch_size,
        progress=progress,
    )
    return vectors


def embed_ranges(
    encoder: nn.Module,
    pack: Pack,
    ranges: Sequence[range],
    *,
    image_size: int,
    device: torch.device,
    batch_size: int = 0,
    progress: Progress | None = None,
) -> Iterator[Vectors]:
    """Unit vectors of the marks of each range of rows in turn.

    While the device computes one batch, the next is read and sent to it, and the one before is copied
    back. On a CPU the process keeps the memory it frees from here on.

    A network's rounding depends on how many images pass through it together, and on a CPU on nothing else of a
    batch (tests/retrieval/vectors/test_embed.py). So all batches are of one size, the last one filled up, and a
    mark has the same vector to the bits wherever it stands in whichever pack.

    Args:
        encoder: from (n, 3, s, s) to (n, f).
        pack: the marks.
        ranges: of rows.
        image_size: s, the side the encoder was trained at.
        device: where to run it; bfloat16 on CUDA, float32 on a CPU.
        batch_size: images in a batch; 0 for what suits the device.
        progress: called with (done, total) of all ranges.

    Yields:
        float32 (marks of the range, f), rows of norm 1.

    Raises:
        CheckpointError: the encoder's features are not finite.
    """
    encoder = inference_copy(encoder, device)
    if device.type == "cpu":
        keep_freed_memory()
    size, total, done = batch_size or _BATCH[device.type], sum(map(len, ranges)), 0
    batches = [
        np.arange(begin, min(begin + size, rows.stop))
        for rows in ranges
        for begin in range(rows.start, rows.stop, size)
    ]
    read = _read_ahead(pack, device, batches)
    features_of = _feature_batches(encoder, read, image_size, size)
    for rows in ranges:
        vectors, filled = np.empty((0, 0), np.float32), 0
        while filled < len(rows):
            features = next(features_of)
            if not np.isfinite(features).all():
                raise CheckpointError(
                    "the encoder's features are not finite numbers; evaluate an earlier checkpoint"
                )
            if not filled:
                vectors = np.empty((len(rows), features.shape[1]), np.float32)
            vectors[filled : filled + len(features)] = l2_normalize(features)
            filled += len(features)
            if progress:
                progress(done + filled, total)
        done += filled
        yield vectors


def _feature_batches(
    encoder: nn.Module, batches: Iterator[Tensor], image_size: int, size: int
) -> Iterator[Vectors]:
    """Features of each batch, filled up to a size; while one is used the device computes the next."""
    pending: Callable[[], Vectors] | None = None
    for images in batches:
        views = plain_view(images, image_size)
        filling = views[-1:].expand(size - len(views), -1, -1, -1)
        copied = _start_copy(forward(encoder, torch.cat([views, filling]))[: len(views)])
        if pending:
            yield pending()
        pending = copied
    if pending:
        yield pending()


def _start_copy(features: Tensor) -> Callable[[], Vectors]:
    """Start the copy of features to the host; the call waits for it, and for no later work of the GPU."""
    if features.device.type == "cpu":
        return features.numpy
    on_host = features.to("cpu", non_blocking=True)
    arrived = torch.cuda.current_stream(features.device).record_event()

    def wait() -> Vectors:
        arrived.synchronize()
        vectors: Vectors = on_host.numpy()
        return vectors

    return wait


def _read_ahead(pack: Pack, device: torch.device, batches: Sequence[Indices]) -> Iterator[Tensor]:
    """The images of each batch of rows on the device, in order, read and sent ahead of their use."""
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

    with ThreadPoolExecutor(1, thread_name_prefix="pixels") as reader:
        ahead = deque(reader.submit(read, rows) for rows in batches[:_PREFETCHED])
        for i in range(len(batches)):
            images, copied = ahead.popleft().result()
            if i + _PREFETCHED < len(batches):
                ahead.append(reader.submit(read, batches[i + _PREFETCHED]))
            if copied is not None:
                computing = torch.cuda.current_stream(device)
                computing.wait_event(copied)
                images.record_stream(
                    computing
                )  # its memory is not reused before this stream is done with it
            yield images


def inference_copy(encoder: nn.Module, device: torch.device) -> nn.Module:
    """A copy of an encoder on a device, for evaluation only, by folded BN and channels-last layout."""
    return fold_bn(encoder).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # nn.Module.to's stub lacks this form


def embed_views(encoder: nn.Module, views: Tensor) -> Vectors:
    """Unit vectors (n, f) of views, float32 (n, 3, s, s); computed in bfloat16 on CUDA."""
    return l2_normalize(forward(encoder, views).cpu().numpy())


def forward(encoder: nn.Module, views: Tensor) -> Tensor:
    """Features, float32 (n, f), of views, float32 (n, 3, s, s); a GPU may still be computing them."""
    device = views.device.type
    with (
        torch.inference_mode(),
        torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda"),
    ):
        features: Tensor = encoder(views.contiguous(memory_format=torch.channels_last))
        return features.float()


def hash_images(images: Tensor) -> Vectors:
    """Perceptual hashes (n, 64) of uint8 images (n, h, w, 3); see `hash_vectors`."""
    return hash_vectors(images.float().mean(3))


def hash_pack(pack: Pack, *, batch_size: int = 128, progress: Progress | None = None) -> Vectors:
    """The perceptual hash of every mark of a pack, (count, 64)."""
    return describe_pack(pack, hash_images, batch_size=batch_size, progress=progress)


def describe_pack(
    pack: Pack,
    describe_images: Callable[[Tensor], Vectors],
    *,
    batch_size: int = 128,
    progress: Progress | None = None,
) -> Vectors:
    """What a function of uint8 images (n, h, w, 3) returns for every mark of a pack, (count, f)."""
    parts = []
    for begin in range(0, pack.count, batch_size):
        rows = np.arange(begin, min(begin + batch_size, pack.count))
        parts.append(describe_images(torch.from_numpy(pack.read(rows))))
        if progress:
            progress(begin + len(rows), pack.count)
    return np.concatenate(parts)


def break_ties(vectors: Vectors, seed: int = 0) -> Vectors:
    """Hashes moved by less than half a bit at random, the same way for the same seed.

    Otherwise the length of a list would decide which of the tied marks are among its first 10.
    """
    noise = np.random.default_rng(seed).uniform(-1, 1, vectors.shape).astype(np.float32)
    return l2_normalize(vectors + noise / 512)
