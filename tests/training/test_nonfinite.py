import copy

import pytest
import torch
from torch import nn

from tmssl.training.nonfinite import NonfiniteCounter
from tmssl.training.optimizer import create_optimizer, step_where, trained_parameters


def taken(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Everything that a step may change, copied."""
    state = [t for p in trained_parameters(optimizer) for t in optimizer.state[p].values()]
    return [t.detach().clone() for t in [*trained_parameters(optimizer), *state]]


@pytest.mark.parametrize("name", ["sgd", "lars", "adamw"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_masked_step_changes_nothing_and_the_next_is_as_if_it_had_not_been(
    name: str, poison: float
) -> None:
    torch.manual_seed(0)
    one = nn.Linear(5, 3)
    other = copy.deepcopy(one)
    masked, plain = (create_optimizer(name, [m], lr=0.1, weight_decay=0.1) for m in (one, other))
    for step in range(4):
        gradients = [torch.randn_like(p) for p in one.parameters()]
        if step in (0, 2):
            before = taken(masked)
            for parameter in one.parameters():
                parameter.grad = torch.full_like(parameter, poison)
            step_where(masked, torch.tensor(False))
            for old, now in zip(before, taken(masked), strict=False):
                assert torch.equal(old, now)
        for model in (one, other):
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
        step_where(masked, torch.tensor(True))
        plain.step()
    for left, right in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-7)


def test_rows_are_counted_across_reads() -> None:
    counter = NonfiniteCounter(nn.BatchNorm1d(2))
    good, bad = torch.tensor(True), torch.tensor(False)
    for step, finite in enumerate([good, bad, bad], 1):
        counter.add(finite, step)
    seen = counter.read()
    assert (seen.count, seen.longest, seen.streak, seen.last) == (2, 2, 2, 3)
    counter.add(bad, 4)
    seen = counter.read()
    assert (seen.count, seen.longest, seen.streak, seen.last) == (1, 3, 3, 4)
    counter.add(good, 5)
    seen = counter.read()
    assert (seen.count, seen.streak) == (0, 0)
    assert counter.read().longest == 0


def test_averages_that_took_in_nan_go_back_to_the_last_read() -> None:
    norm = nn.BatchNorm1d(2).train()
    counter = NonfiniteCounter(norm)
    norm(torch.randn(8, 2))
    counter.add(torch.tensor(True), 1)
    counter.read()
    assert norm.running_mean is not None
    kept = norm.running_mean.clone()
    norm(torch.full((8, 2), float("nan")))
    counter.add(torch.tensor(False), 2)
    assert bool(norm.running_mean.isnan().all())
    counter.read()
    assert torch.equal(norm.running_mean, kept)
