"""How far marks that share a Vienna code look alike: the label noise of weak supervision, measured.

A code says what a mark depicts, not what it looks like. Where partners are hardly more alike than
marks drawn at random, learning to bring them together is learning noise.
"""

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from tmssl.data.pack.pack import Pack
from tmssl.data.phash import hash_vectors, unit
from tmssl.data.sampler import Sampler
from tmssl.data.views.views import plain_view
from tmssl.runs.events import Positives
from tmssl.training.learner import Learner
from tmssl.types import Indices, Vectors

_PAIRS = 256
_AT_ONCE = 32  # so that a signal waits for one small batch


def measure_positives(
    learner: Learner,
    pack: Pack,
    sampler: Sampler,
    *,
    epoch: int,
    image_size: int,
    stop: Callable[[], bool],
) -> Positives | None:
    """The event that tells how alike partners are, under the encoder as it is and under a hash.

    The random pairs are the same marks with their partners exchanged, so both kinds hold each mark
    equally often.

    Args:
        learner: its encoder is left as it was.
        pack: the marks.
        sampler: one with partners.
        epoch: whose draws are looked at, from 0.
        image_size: side of the encoder's input.
        stop: asked between batches; when it says yes nothing is measured.

    Returns:
        The event without its place in the run; None when stopped.
    """
    begun = time.perf_counter()
    marks, partners = sampler.pairs(4 * _PAIRS, epoch)
    has = marks != partners
    first, second = marks[has][:_PAIRS], partners[has][:_PAIRS]
    if len(first) < 2:
        return Positives(with_partner=float(has.mean()))
    seen = _vectors(learner, pack, np.concatenate([first, second]), image_size, stop)
    if seen is None:
        return None
    encoder, hashed = (
        _told_apart(vectors[: len(first)], vectors[len(first) :]) for vectors in seen
    )
    return Positives(
        pairs=len(first),
        with_partner=float(has.mean()),
        encoder_partners=encoder[0],
        encoder_random=encoder[1],
        encoder_auc=encoder[2],
        hash_partners=hashed[0],
        hash_random=hashed[1],
        hash_auc=hashed[2],
        noise=min(1.0, 2 * (1 - max(encoder[2], hashed[2]))),
        seconds=time.perf_counter() - begun,
    )


def _told_apart(first: Vectors, second: Vectors) -> tuple[float, float, float]:
    """Mean cosine of rows that belong together, of rows that don't, and the AUC between them."""
    alike = (first * second).sum(1)
    random = (first * np.roll(second, 1, axis=0)).sum(1)
    return float(alike.mean()), float(random.mean()), auc(alike, random)


def auc(alike: npt.NDArray[np.floating], random: npt.NDArray[np.floating]) -> float:
    """Probability that a draw of `alike` exceeds one of `random`, ties half: 0.5 tells nothing apart."""
    difference = alike[:, None] - random[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@torch.no_grad()
def _vectors(
    learner: Learner, pack: Pack, rows: Indices, image_size: int, stop: Callable[[], bool]
) -> tuple[Vectors, Vectors] | None:
    """Unit vectors of some marks, (n, f) by the encoder and (n, 64) by the hash."""
    encoder, features, hashes = learner.model.encoder.eval(), [], []
    try:
        for begin in range(0, len(rows), _AT_ONCE):
            if stop():
                return None
            images = torch.from_numpy(pack.read(rows[begin : begin + _AT_ONCE]))
            hashes.append(hash_vectors(images.float().mean(3)))
            view = plain_view(images.to(learner.device), image_size)
            with learner.autocast():
                # Past torch.compile, which would compile evaluation for these few batches.
                found = encoder.forward(view.contiguous(memory_format=torch.channels_last))
            features.append(found.float().cpu().numpy())
    finally:
        encoder.train()
    return unit(np.concatenate(features)), np.concatenate(hashes)
