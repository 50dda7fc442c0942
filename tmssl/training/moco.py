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

from tmssl.training.encoder.backbone import feature_count
from tmssl.training.loss import Contrast, contrast, teacher_loss
from tmssl.training.ranks.distributed import ALONE, Ranks, without_averaging


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


def create_heads(
    kind: str, features: int, hidden: int, dimensions: int
) -> tuple[nn.Sequential, nn.Sequential]:
    """Projector and predictor on an encoder of so many features.

    `mlp` is as published. `none` departs from the paper: keys and queries are the encoder's own output,
    for the projector is a BN without affine parameters and the predictor empty, the identity.
    """
    if kind == "none":
        return nn.Sequential(nn.BatchNorm1d(features, affine=False)), nn.Sequential()
    return projector(features, hidden, dimensions), predictor(hidden, dimensions)


# What a step measures, each a mean over the batch; fields of the journal's step events.
FIGURES = ("loss", "ce", "top1", "positive_cosine", "negative_cosine", "teacher_loss")


class MoCo(nn.Module):
    """The five networks of MoCo v3 around one backbone, or around the linear layer on cached features."""

    def __init__(
        self,
        encoder: nn.Module,
        hidden: int,
        dimensions: int,
        heads: str = "mlp",
        teacher_width: int = 0,
    ) -> None:
        """The networks around `encoder`, which takes views (n, 3, s, s), or features (n, f) if it is linear.

        `hidden` and `dimensions` are those of the heads of kind `mlp`; see `create_heads`. With a teacher
        of `teacher_width` features there is a linear layer to them.
        """
        super().__init__()
        if isinstance(encoder, nn.Linear):
            features = encoder.out_features
        else:
            features = feature_count(encoder)
        self.encoder = encoder
        self.projector, self.predictor = create_heads(heads, features, hidden, dimensions)
        self.to_teacher = nn.Linear(features, teacher_width, bias=False) if teacher_width else None
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
        trained: list[Tensor] = [*self.encoder.parameters(), *self.projector.parameters()]
        averages: list[Tensor] = [
            *self.momentum_encoder.parameters(),
            *self.momentum_projector.parameters(),
        ]
        torch._foreach_lerp_(averages, trained, 1 - momentum)


def even_chunks(count: int, chunk_size: int) -> list[slice]:
    """Slices of nearly equal length, at most `chunk_size`.

    None is of one, which would break BN; so an odd count in chunks of two has one of three.
    """
    chunks = min(-(-count // chunk_size), max(1, count // 2))
    bounds = [count * chunk // chunks for chunk in range(chunks + 1)]
    return [slice(begin, end) for begin, end in itertools.pairwise(bounds)]


@dataclasses.dataclass(frozen=True)
class StepResult:
    """What one step measured, still on the device."""

    figures: Tensor
    """(6,), in the order of `FIGURES`"""
    features: Tensor
    """backbone features of the first chunk of view 1, (c, f)"""
    queries: Tensor
    """its predictions, (c, d)"""
    keys: Tensor
    """the keys of its positives, (c, d)"""


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What a frozen teacher says of the two views of a step."""

    target: Callable[[int, slice], Tensor]
    """its features (c, t) of a chunk of view 0 or 1, without gradient"""
    share: float
    """of the loss that it has, 0 to 1"""


def moco_step(
    model: MoCo,
    view_1: Tensor,
    view_2: Tensor,
    *,
    temperature: float,
    chunk_size: int,
    backward: Callable[[Tensor], None],
    wrapped: nn.Module | None = None,
    ranks: Ranks = ALONE,
    lesson: Lesson | None = None,
) -> StepResult:
    """Accumulate the gradient of ctr(q1, k2) + ctr(q2, k1), ctr = 2 tau CE (Chen et al. 2021).

    With a `lesson` the gradient is that of (1 - share) times this and share times the mean over both views
    of one minus the cosine to the teacher's features.

    Keys carry no gradient, so all N of them are encoded first, and then the queries chunk by chunk.
    The gradient is that of the whole batch, up to BN's statistics, for the memory of one chunk. With
    several ranks the views are this rank's part, the keys are those of all ranks, and `wrapped` is the
    model as `tmssl.training.ranks.distributed.average_gradients` wraps it.
    """
    count, network = len(view_1), wrapped or model
    own = ranks.rank * count
    chunks = even_chunks(count, chunk_size)
    keys_1 = ranks.gather(torch.cat([model.keys(view_1[chunk]) for chunk in chunks]))
    keys_2 = ranks.gather(torch.cat([model.keys(view_2[chunk]) for chunk in chunks]))
    total, first = torch.zeros(len(FIGURES), device=view_1.device), None
    pairs = ((0, view_1, keys_2), (1, view_2, keys_1))
    passes = [(chunk, *pair) for chunk in chunks for pair in pairs]
    for number, (chunk, which, view, keys) in enumerate(passes, 1):
        weight = (chunk.stop - chunk.start) / count
        is_last = number == len(passes)
        with contextlib.nullcontext() if is_last else without_averaging(network):
            query, features = network(view[chunk])
            result = contrast(query, keys, temperature, own + chunk.start)
            loss, taught = 2 * temperature * result.ce, result.ce.new_zeros(())
            if lesson is not None:
                taught = _taught(model, features, lesson.target(which, chunk))
                loss = (1 - lesson.share) * loss + lesson.share * taught / 2
            backward(loss * weight)
        total += _figures(result, temperature, taught.detach()) * weight
        first = first or (features.detach(), query.detach(), keys[own:][chunk])
    assert first is not None
    return StepResult(ranks.mean(total), *first)


def _taught(model: MoCo, features: Tensor, target: Tensor) -> Tensor:
    """The loss of the encoder's features (c, f) against the teacher's (c, t)."""
    assert model.to_teacher is not None
    return teacher_loss(model.to_teacher(features), target)


def _figures(result: Contrast, temperature: float, taught: Tensor) -> Tensor:
    """What one direction adds to the figures of both, (6,)."""
    ce = result.ce.detach()
    means = (ce, result.top1, result.positive, result.negative, taught)
    return torch.stack([2 * temperature * ce, *(mean / 2 for mean in means)])
