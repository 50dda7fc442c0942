"""MoCo v3: an encoder that learns, a momentum encoder that makes its keys, and one training step.

Chen, Xie and He 2021, "An Empirical Study of Training Self-Supervised Vision Transformers".
"""

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tmssl.training.backbone import feature_count
from tmssl.training.distributed import ALONE, Ranks, accumulating
from tmssl.training.loss import Contrast, contrast


def projector(features: int, hidden: int, dimensions: int) -> nn.Sequential:
    """The convnet's projection head: two layers, the last BN without affine parameters."""
    return nn.Sequential(
        nn.Linear(features, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, dimensions, bias=False),
        nn.BatchNorm1d(dimensions, affine=False),
    )


def predictor(hidden: int, dimensions: int) -> nn.Sequential:
    """The convnet's prediction head: two layers, no last BN."""
    return nn.Sequential(
        nn.Linear(dimensions, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, dimensions, bias=False),
    )


class MoCo(nn.Module):
    """The five networks of MoCo v3 around one backbone."""

    def __init__(self, encoder: nn.Module, hidden: int, dimensions: int) -> None:
        super().__init__()
        features = feature_count(encoder)
        self.encoder = encoder
        self.projector = projector(features, hidden, dimensions)
        self.predictor = predictor(hidden, dimensions)
        self.momentum_encoder = copy.deepcopy(encoder)
        self.momentum_projector = copy.deepcopy(self.projector)
        self.momentum_encoder.requires_grad_(requires_grad=False)
        self.momentum_projector.requires_grad_(requires_grad=False)

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions (n, d) and backbone features (n, f) of a view (n, 3, s, s), with gradient."""
        features = self.encoder(view)
        return self.predictor(self.projector(features)), features

    @torch.no_grad()
    def keys(self, view: Tensor) -> Tensor:
        """Keys (n, d) of a view; BN runs on the batch and keeps its own statistics."""
        return self.momentum_projector(self.momentum_encoder(view))

    @torch.no_grad()
    def update_momentum(self, momentum: float) -> None:
        """Move the momentum networks: w_m <- m w_m + (1 - m) w (eq. 2 of MoCo, He et al. 2020)."""
        learning: list[Tensor] = [*self.encoder.parameters(), *self.projector.parameters()]
        averaged: list[Tensor] = [
            *self.momentum_encoder.parameters(),
            *self.momentum_projector.parameters(),
        ]
        torch._foreach_lerp_(averaged, learning, 1 - momentum)


def even_chunks(count: int, chunk_size: int) -> list[slice]:
    """Slices of nearly equal length, none above `chunk_size`, and none of one, which would break BN.

    So an odd count in chunks of two has one of three.
    """
    pieces = min(-(-count // chunk_size), max(1, count // 2))
    bounds = [count * piece // pieces for piece in range(pieces + 1)]
    return [slice(begin, end) for begin, end in itertools.pairwise(bounds)]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What one step measured, still on the device."""

    figures: Tensor
    """(5,): loss, ce, top1, positive cosine, hardest negative cosine; means over the batch"""
    features: Tensor
    """backbone features of the first chunk of view 1, (c, f)"""
    queries: Tensor
    """predictions of the same, (c, d)"""
    keys: Tensor
    """their positives' keys, (c, d)"""


def moco_step(
    model: MoCo,
    view_1: Tensor,
    view_2: Tensor,
    *,
    temperature: float,
    chunk_size: int,
    backward: Callable[[Tensor], None],
    passes: nn.Module | None = None,
    ranks: Ranks = ALONE,
) -> StepResult:
    """Accumulate the gradient of ctr(q1, k2) + ctr(q2, k1), ctr = 2 tau CE (Chen et al. 2021).

    Keys carry no gradient, so all N of them are encoded first and the queries then go through
    chunk by chunk: the same gradient as at once, up to BN's statistics, for the memory of a chunk
    of one view. With several ranks the views are this one's share, the keys are everyone's, and `passes` is the
    model as `tmssl.training.distributed.averaging` wraps it.
    """
    count, learning = len(view_1), passes or model
    own = ranks.rank * count
    chunks = even_chunks(count, chunk_size)
    keys_1 = ranks.gathered(torch.cat([model.keys(view_1[chunk]) for chunk in chunks]))
    keys_2 = ranks.gathered(torch.cat([model.keys(view_2[chunk]) for chunk in chunks]))
    total, first = torch.zeros(5, device=view_1.device), None
    passed = [(chunk, *pair) for chunk in chunks for pair in ((view_1, keys_2), (view_2, keys_1))]
    for done, (chunk, view, keys) in enumerate(passed, 1):
        unfinished = done < len(passed)
        share = (chunk.stop - chunk.start) / count
        with accumulating(learning) if unfinished else contextlib.nullcontext():
            query, features = learning(view[chunk])
            told = contrast(query, keys, temperature, own + chunk.start)
            backward(2 * temperature * told.ce * share)
        total += _figures(told, temperature) * share
        first = first or (features.detach(), query.detach(), keys[own:][chunk])
    assert first is not None
    return StepResult(ranks.mean(total), *first)


def _figures(told: Contrast, temperature: float) -> Tensor:
    """What one direction adds to the loss and to the means over both, (5,)."""
    ce = told.ce.detach()
    means = (ce, told.top1, told.positive, told.negative)
    return torch.stack([2 * temperature * ce, *(mean / 2 for mean in means)])
