"""What can be scored without any label: whether an augmented copy finds its own original."""

import numpy as np
import numpy.typing as npt
import torch

from tmssl.data.pack import Pack
from tmssl.data.views import VIEW_SETS, augmented_view, plain_view
from tmssl.retrieval.embed import trained_encoder, unit, untrained_encoder
from tmssl.retrieval.score import interval
from tmssl.runs.events import Score
from tmssl.training.checkpoint import Weights

Rows = npt.NDArray[np.int64]


def invariance(weights: Weights, pack: Pack, queries: Rows, device: torch.device) -> list[Score]:
    """invariance@1: the share of augmented copies whose nearest mark among the queries is their own.

    Its chance level is 1 / number of queries.
    """
    config = weights.config
    trained = _found(trained_encoder(weights), weights, pack, queries, device)
    untrained = _found(
        untrained_encoder(config.model.name, config.train.seed), weights, pack, queries, device
    )
    low, high = interval(trained, config.train.seed)
    return [
        Score(
            metric="invariance", level="copy", codes="all", k=1, value=float(trained.mean()),
            chance=1 / len(queries), low=low, high=high, queries=len(queries),
            references={"untrained": float(untrained.mean())},
        )
    ]  # fmt: skip


def _found(
    encoder: torch.nn.Module, weights: Weights, pack: Pack, queries: Rows, device: torch.device
) -> npt.NDArray[np.float64]:
    """1 for each query whose copy is nearest to itself, (q,)."""
    settings = weights.config.data
    encoder = encoder.to(device).eval()
    plain, copies = [], []
    for begin in range(0, len(queries), 128):
        rows = queries[begin : begin + 128]
        images = torch.from_numpy(pack.read(rows)).to(device)
        copy = augmented_view(
            images, rows, seed=weights.config.train.seed, epoch=0, view=0,
            recipe=VIEW_SETS[settings.views][0], size=settings.image_size,
        )  # fmt: skip
        with torch.inference_mode():
            plain.append(encoder(plain_view(images, settings.image_size)).float().cpu().numpy())
            copies.append(encoder(copy).float().cpu().numpy())
    similarity = unit(np.concatenate(copies)) @ unit(np.concatenate(plain)).T
    return (similarity.argmax(1) == np.arange(len(queries))).astype(np.float64)
