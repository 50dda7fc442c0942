"""The label noise of weak supervision: how much more alike partners look than random marks.

A Vienna code says what a mark depicts, not what it looks like, and owners use one text on many marks. Where
partners look hardly more alike than random marks, training that brings them together learns noise.
"""

import time
from collections.abc import Callable

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from tmssl.data.pack.reader import Pack
from tmssl.data.phash import hash_vectors, l2_normalize
from tmssl.data.positives.partners import Partners
from tmssl.data.sampler import Sampler
from tmssl.data.views.augment import plain_view
from tmssl.runs.events import Positives
from tmssl.training.learner import Learner
from tmssl.types import Indices, Vectors

_PAIRS = 256
_AT_ONCE = 32  # so that a signal waits for one small batch


def measure_positives(
    learner: Learner,
    pack: Pack,
    sampler: Sampler,
    partners: Partners,
    *,
    epoch: int,
    image_size: int,
    stop: Callable[[], bool],
) -> Positives | None:
    """Measure how alike partners are, by the present encoder and by a perceptual hash.

    Random pairs are the same marks with exchanged partners, so that both kinds contain each mark
    equally often.

    Args:
        learner: its encoder does not change.
        pack: the marks.
        sampler: whose pairs are measured.
        partners: their kind, of its mixture.
        epoch: whose pairs are measured, from 0.
        image_size: side of the encoder's input.
        stop: called between batches; true ends the measurement.

    Returns:
        The event without its place in the run; None when stopped.
    """
    begun = time.perf_counter()
    marks, others = sampler.pairs(partners, 4 * _PAIRS, epoch)
    paired = marks != others
    first, second = marks[paired][:_PAIRS], others[paired][:_PAIRS]
    unmeasured = Positives(
        by=partners.kind,
        share=partners.share,
        with_partner=float(paired.mean()),
        left_out=partners.left_out,
        examples=list(partners.examples),
    )
    if len(first) < 2:
        return unmeasured
    vectors = _embed(learner, pack, np.concatenate([first, second]), image_size, stop)
    if vectors is None:
        return None
    by_encoder, by_hash = (_compare_pairs(v[: len(first)], v[len(first) :]) for v in vectors)
    return msgspec.structs.replace(
        unmeasured,
        pairs=len(first),
        encoder_partners=by_encoder[0],
        encoder_random=by_encoder[1],
        encoder_auc=by_encoder[2],
        hash_partners=by_hash[0],
        hash_random=by_hash[1],
        hash_auc=by_hash[2],
        noise=min(1.0, 2 * (1 - max(by_encoder[2], by_hash[2]))),
        seconds=time.perf_counter() - begun,
    )


def _compare_pairs(first: Vectors, second: Vectors) -> tuple[float, float, float]:
    """Mean cosine of partners, which stand in the same row, of random pairs, and the AUC."""
    partners = (first * second).sum(1)
    random = (first * np.roll(second, 1, axis=0)).sum(1)
    return float(partners.mean()), float(random.mean()), auc(partners, random)


def auc(partners: npt.NDArray[np.floating], random: npt.NDArray[np.floating]) -> float:
    """Probability that a value of `partners` exceeds one of `random`, ties half: 0.5 is chance."""
    difference = partners[:, None] - random[None, :]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


@torch.no_grad()
def _embed(
    learner: Learner, pack: Pack, rows: Indices, image_size: int, stop: Callable[[], bool]
) -> tuple[Vectors, Vectors] | None:
    """Unit vectors of some marks, (n, f) by the encoder and (n, 64) by the hash."""
    encoder, features, hashes = learner.encoder.eval(), [], []
    try:
        for begin in range(0, len(rows), _AT_ONCE):
            if stop():
                return None
            images = torch.from_numpy(pack.read(rows[begin : begin + _AT_ONCE]))
            hashes.append(hash_vectors(images.float().mean(3)))
            view = plain_view(images.to(learner.device), image_size)
            with learner.autocast():
                # `forward` goes past torch.compile, which would compile for these few batches.
                output = encoder.forward(view.contiguous(memory_format=torch.channels_last))
            features.append(output.float().cpu().numpy())
    finally:
        encoder.train()
    return l2_normalize(np.concatenate(features)), np.concatenate(hashes)
