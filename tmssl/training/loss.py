"""The contrastive loss of MoCo v3, and measures of how well features are spread."""

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional


@dataclasses.dataclass(frozen=True)
class Contrast:
    """One direction's comparison of n queries with N keys; all on the device."""

    ce: Tensor
    """mean cross-entropy in nats; with gradient"""
    top1: Tensor
    """share of queries nearest to their own key"""
    positive: Tensor
    """mean cosine to the own key"""
    negative: Tensor
    """mean over queries of the largest cosine to another key"""


def contrast(query: Tensor, key: Tensor, temperature: float, offset: int = 0) -> Contrast:
    """Cross-entropy of q k^T / tau against the diagonal (Chen et al. 2021, eq. 1).

    Args:
        query: (n, d), with gradient.
        key: (N, d), without; query i belongs to key offset + i.
        temperature: tau.
        offset: key of the first query, for chunks and ranks.
    """
    query = functional.normalize(query.float(), dim=1)
    key = functional.normalize(key.float(), dim=1)
    with torch.autocast(query.device.type, enabled=False):  # logits stay in float32
        cosine = query @ key.T
    labels = torch.arange(offset, offset + len(query), device=query.device)
    ce = functional.cross_entropy(cosine / temperature, labels)
    with torch.no_grad():
        positive = cosine.gather(1, labels[:, None])
        others = cosine.scatter(1, labels[:, None], -2.0)  # below any cosine
        hardest = others.max(1).values
        top1 = (positive[:, 0] > hardest).float().mean()
        return Contrast(ce, top1, positive.mean(), hardest.mean())


def teacher_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean of one minus the cosine of a student's predictions and the teacher's features, 0 to 2.

    Args:
        predicted: (n, t), with gradient.
        target: (n, t), without.
    """
    return 1 - functional.cosine_similarity(predicted.float(), target.float(), dim=1).mean()


def feature_std(projections: Tensor) -> Tensor:
    """Standard deviation of unit vectors times sqrt(d): 1 when spread out, 0 when collapsed.

    Chen and He 2021 (SimSiam), section 4.1; `projections` is (n, d).
    """
    unit = functional.normalize(projections.float(), dim=1)
    return unit.std(0).mean() * unit.shape[1] ** 0.5


def rank_me(features: Tensor) -> float:
    """The exponential of the entropy of the normalised singular values (Garrido et al. 2023, eq. 1)."""
    singular = torch.linalg.svdvals(features.float())
    share = singular / singular.sum().clamp(min=1e-12) + 1e-7
    return float(torch.exp(-(share * share.log()).sum()))


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of positives on the unit sphere (Wang and Isola 2020, section 4.1)."""
    unit_1, unit_2 = (functional.normalize(x.float(), dim=1) for x in (first, second))
    return float((unit_1 - unit_2).square().sum(1).mean())


def uniformity(features: Tensor) -> float:
    """Log of the mean of exp(-2 |x - y|^2) over pairs (Wang and Isola 2020, section 4.2)."""
    unit = functional.normalize(features.float(), dim=1)
    return float(torch.pdist(unit).square().mul(-2).exp().mean().log())
