"""invariance@1: whether an augmented copy finds its own original; needs no label."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from tmssl.config import Config
from tmssl.data.pack.reader import Pack
from tmssl.data.phash import hash_vectors
from tmssl.data.views.augment import augmented_view, images_of, plain_view
from tmssl.data.views.recipe import VIEW_SETS
from tmssl.retrieval.evaluation.scoring import ScoreKey, mean_score
from tmssl.retrieval.vectors.descriptor import Descriptor
from tmssl.retrieval.vectors.embed import (
    embed_views,
    inference_copy,
    trained_encoder,
    untrained_encoder,
)
from tmssl.runs.events import Score
from tmssl.training.checkpoints.store import Weights
from tmssl.types import Indices, Progress, Vectors

_AT_ONCE = 128


def training_copy(images: Tensor, rows: Indices, config: Config) -> Tensor:
    """An augmented copy of each image (n, h, w, 3), drawn as the first view of training, (n, 3, s, s)."""
    return augmented_view(
        images,
        rows,
        seed=config.train.seed,
        epoch=0,
        view=0,
        recipe=VIEW_SETS[config.data.views][0],
        size=config.data.image_size,
    )


def invariance(
    weights: Weights,
    pack: Pack,
    queries: Indices,
    device: torch.device,
    *,
    further: Sequence[Descriptor] = (),
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Score]:
    """invariance@1: the share of augmented copies whose nearest mark among the queries is their own.

    The copies are drawn as in training. The chance level is 1 / number of queries.

    Args:
        weights: of the evaluated encoder.
        pack: the marks.
        queries: rows that are copied and searched, (q,).
        device: where encoders run.
        further: references besides the untrained encoder and the hash; what they fit is fitted.
        seed: of the bootstrap.
        progress: called with (done, queries).
    """
    config = weights.config
    encoders: dict[str, nn.Module | None] = {
        "this": inference_copy(trained_encoder(weights), device),
        "untrained": inference_copy(
            untrained_encoder(config.model.name, config.train.seed), device
        ),
        "perceptual hash": None,
    }
    names = [*(one.name for one in further), *encoders]
    plain: dict[str, list[Vectors]] = {name: [] for name in names}
    copies: dict[str, list[Vectors]] = {name: [] for name in names}
    for begin in range(0, len(queries), _AT_ONCE):
        rows = queries[begin : begin + _AT_ONCE]
        images = torch.from_numpy(pack.read(rows)).to(device)
        original = plain_view(images, config.data.image_size)
        copy = training_copy(images, rows, config)
        for name, encoder in encoders.items():
            plain[name].append(_vectors(encoder, original))
            copies[name].append(_vectors(encoder, copy))
        for one in further:
            plain[one.name].append(one.embed_images(images.cpu()))
            copies[one.name].append(one.embed_images(images_of(copy).cpu()))
        if progress:
            progress(begin + len(rows), len(queries))
    hits = {
        name: nearest_is_own(np.concatenate(copies[name]), np.concatenate(plain[name]))
        for name in names
    }
    references = {name: float(values.mean()) for name, values in hits.items() if name != "this"}
    key = ScoreKey("invariance", "copy", "all", 1)
    return [mean_score(key, hits["this"], 1 / len(queries), references, seed=seed)]


def _vectors(encoder: nn.Module | None, view: Tensor) -> Vectors:
    """Unit vectors of a view by an encoder, or by the perceptual hash for None."""
    return hash_vectors(view.mean(1)) if encoder is None else embed_views(encoder, view)


def nearest_is_own(copies: Vectors, plain: Vectors) -> npt.NDArray[np.float64]:
    """1 for each copy that is nearer to its own original than to any other, 0 for ties, (q,)."""
    similarity = copies @ plain.T
    own = similarity.diagonal().copy()
    np.fill_diagonal(similarity, -np.inf)
    return (own > similarity.max(1, initial=-np.inf)).astype(np.float64)
