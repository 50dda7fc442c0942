import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.helpers.models import small_moco
from tmssl.training.loss import (
    alignment,
    contrast,
    feature_std,
    rank_me,
    uniformity,
)
from tmssl.training.moco import MoCo, even_chunks, moco_step


def backward(loss: torch.Tensor) -> None:
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped


def slow_cross_entropy(query: torch.Tensor, key: torch.Tensor, tau: float, offset: int) -> float:
    """The contrastive loss written out, one query and one key at a time."""
    total = 0.0
    for i in range(len(query)):
        cosines = [
            float(torch.dot(query[i] / query[i].norm(), key[j] / key[j].norm()))
            for j in range(len(key))
        ]
        total -= math.log(
            math.exp(cosines[i + offset] / tau) / sum(math.exp(c / tau) for c in cosines)
        )
    return total / len(query)


@pytest.mark.parametrize(("tau", "offset"), [(0.2, 0), (1.0, 0), (0.1, 4)])
def test_the_loss_equals_the_equation_written_out(tau: float, offset: int) -> None:
    torch.manual_seed(0)
    query, key = torch.randn(5, 7), torch.randn(9, 7)
    ours = contrast(query, key, tau, offset)
    assert float(ours.ce) == pytest.approx(slow_cross_entropy(query, key, tau, offset), abs=1e-5)


def test_collapsed_keys_cost_exactly_chance() -> None:
    ones = torch.ones(64, 8)
    told = contrast(ones, ones, 0.2)
    assert float(told.ce) == pytest.approx(math.log(64), abs=1e-5)
    assert float(told.top1) == 0  # a tie is not a find


def test_measured_cosines_are_what_they_say() -> None:
    query = torch.eye(4)
    told = contrast(query, query, 0.2)
    assert float(told.positive) == pytest.approx(1)
    assert float(told.negative) == pytest.approx(0)
    assert float(told.top1) == 1


def gradients(
    model: MoCo, chunk_size: int, views: tuple[torch.Tensor, torch.Tensor]
) -> list[torch.Tensor]:
    model.zero_grad(set_to_none=True)
    moco_step(model, *views, temperature=0.2, chunk_size=chunk_size, backward=backward)
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


@pytest.mark.parametrize("chunk_size", [1, 3, 5, 12])
def test_chunked_gradients_equal_the_whole_batchs(chunk_size: int) -> None:
    model = small_moco().eval()  # BN frozen
    views = (torch.randn(12, 3, 32, 32), torch.randn(12, 3, 32, 32))
    whole, chunked = gradients(model, 12, views), gradients(model, chunk_size, views)
    scale = max(float(g.abs().max()) for g in whole)
    for one, other in zip(whole, chunked, strict=True):
        assert float((one - other).abs().max()) < 1e-5 * max(1.0, scale)


def test_figures_of_a_step_do_not_depend_on_chunks() -> None:
    model = small_moco().eval()
    views = (torch.randn(12, 3, 32, 32), torch.randn(12, 3, 32, 32))
    one, other = (
        moco_step(model, *views, temperature=0.2, chunk_size=c, backward=backward) for c in (12, 4)
    )
    assert torch.allclose(one.figures, other.figures, atol=1e-5)
    assert float(one.figures[0]) == pytest.approx(4 * 0.2 * float(one.figures[1]), abs=1e-4)


def test_no_gradient_reaches_the_momentum_networks() -> None:
    model = small_moco().train()
    gradients(model, 12, (torch.randn(12, 3, 32, 32), torch.randn(12, 3, 32, 32)))
    assert all(p.grad is None for p in model.momentum_encoder.parameters())
    assert all(p.grad is not None for p in model.projector.parameters())


def test_momentum_moves_the_average_by_the_formula() -> None:
    model = small_moco()
    with torch.no_grad():
        for p in model.encoder.parameters():
            p.add_(1)
    before = [p.clone() for p in model.momentum_encoder.parameters()]
    model.update_momentum(0.9)
    pairs = zip(
        before, model.momentum_encoder.parameters(), model.encoder.parameters(), strict=True
    )
    for old, now, learning in pairs:
        assert torch.allclose(now, 0.9 * old + 0.1 * learning, atol=1e-6)


def test_heads_are_the_published_ones() -> None:
    model = small_moco()
    kinds = [type(layer) for layer in model.projector]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear, nn.BatchNorm1d]
    last = model.projector[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert not last.affine
    assert [type(layer) for layer in model.predictor] == kinds[:-1]


@pytest.mark.parametrize(("count", "size"), [(12, 12), (12, 5), (7, 3), (2, 100), (9, 2), (3, 2)])
def test_chunks_cover_the_batch_evenly(count: int, size: int) -> None:
    chunks = even_chunks(count, size)
    lengths = [chunk.stop - chunk.start for chunk in chunks]
    assert sum(lengths) == count
    assert max(lengths) <= max(size, 3)
    assert min(lengths) >= 2
    assert max(lengths) - min(lengths) <= 1


def test_feature_std_tells_spread_from_collapse() -> None:
    torch.manual_seed(0)
    assert float(feature_std(torch.randn(4000, 64))) == pytest.approx(1, abs=0.02)
    assert float(feature_std(torch.ones(100, 64))) == pytest.approx(0, abs=1e-6)


def test_rank_me_counts_directions() -> None:
    torch.manual_seed(0)
    basis = torch.linalg.qr(torch.randn(64, 5)).Q.T
    assert rank_me(torch.randn(2000, 5) @ basis) == pytest.approx(5, abs=0.1)


def test_alignment_and_uniformity_equal_their_definitions() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(20, 6), torch.randn(20, 6)
    unit_x, unit_y = functional.normalize(x, dim=1), functional.normalize(y, dim=1)
    assert alignment(x, y) == pytest.approx(
        sum(float((a - b).norm() ** 2) for a, b in zip(unit_x, unit_y, strict=True)) / 20, abs=1e-5
    )
    pairs = [
        math.exp(-2 * float((unit_x[i] - unit_x[j]).norm() ** 2))
        for i in range(20)
        for j in range(i)
    ]
    assert uniformity(x) == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=1e-5)


def test_without_heads_a_linear_encoder_is_compared_by_its_own_output() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(12, 12, bias=False)
    model = MoCo(layer, 32, 16, heads="none").train()
    features = torch.randn(8, 12)
    query, own = model(features)
    torch.testing.assert_close(own, layer(features))
    expected = (own - own.mean(0)) / (own.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(query, expected)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained == ["encoder.weight"]
    before = next(model.momentum_encoder.parameters()).clone()
    with torch.no_grad():
        layer.weight += 1
    model.update_momentum(0.75)
    torch.testing.assert_close(next(model.momentum_encoder.parameters()), before + 0.25)
