"""Memory layout, low precision, its scaler and fused optimizers, on a CPU and on a GPU."""

import math

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tests.helpers.training import SMALL_MODEL
from tmssl.config import Config, changed
from tmssl.training.learner import Learner, choose_precision, create_learner, update
from tmssl.training.loader import Views

DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]
COUNT = 16


def tiny_learner(device: torch.device, **settings: object) -> Learner:
    tiny = {**SMALL_MODEL, "device": "auto", "batch_size": COUNT, "lr": 0.05}
    return create_learner(changed(Config(), {**tiny, **settings}), device)


def views_on(device: torch.device) -> Views:
    """Two noisy copies of the same random images, laid out as the feed lays them out."""
    dice = torch.Generator().manual_seed(0)
    images = torch.randn(COUNT, 3, 32, 32, generator=dice)
    pair = [images + 0.3 * torch.randn(images.shape, generator=dice) for _ in range(2)]
    first, second = (view.to(device, memory_format=torch.channels_last) for view in pair)
    return Views(first, second, 0.0)


@pytest.mark.parametrize("device", DEVICES)
def test_every_feature_map_of_a_step_is_channels_last(device: torch.device) -> None:
    learner = tiny_learner(device)
    maps: list[torch.Tensor] = []
    for module in learner.model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
            module.register_forward_hook(lambda _module, _given, result: maps.append(result))
    update(learner, views_on(device), 0.9, 1)
    spread = [found for found in maps if found.shape[2] > 1]
    assert len(spread) > 20
    assert all(found.is_contiguous(memory_format=torch.channels_last) for found in spread)


@pytest.mark.filterwarnings("ignore:.*Profiler clears events:UserWarning")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("name", "operation"), [("adamw", "aten::_fused_adamw_"), ("sgd", "aten::_fused_sgd_")]
)
def test_optimizers_step_in_one_fused_operation(
    device: torch.device, name: str, operation: str
) -> None:
    learner = tiny_learner(device, optimizer=name)
    with profile(activities=[ProfilerActivity.CPU]) as told:
        update(learner, views_on(device), 0.9, 1)
    counts = {event.key: event.count for event in told.key_averages()}
    assert counts.get(operation) == 2  # one for the weights that decay, one for the rest


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("precision", "kind"), [("bfloat16", torch.bfloat16), ("float16", torch.float16)]
)
def test_convolutions_are_of_low_precision_and_weights_loss_and_gradients_are_not(
    device: torch.device, precision: str, kind: torch.dtype
) -> None:
    low, full = (tiny_learner(device, precision=p) for p in (precision, "float32"))
    if low.scaler.is_enabled():  # begin where a scaler ends, below every overflow
        low.scaler.load_state_dict({**low.scaler.state_dict(), "scale": 256.0})
    kinds = set()
    for module in low.model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(lambda _module, _given, result: kinds.add(result.dtype))
    done, exact = (update(each, views_on(device), 0.9, 1) for each in (low, full))
    assert kinds == {kind}
    assert {p.dtype for p in low.model.parameters()} == {torch.float32}
    assert {p.grad.dtype for p in low.model.parameters() if p.grad is not None} == {torch.float32}
    assert done.result.figures.dtype == torch.float32
    assert bool(done.finite)
    assert float(done.result.figures[0]) == pytest.approx(float(exact.result.figures[0]), rel=0.02)
    # A gradient that went through the scaler has its own size again.
    assert float(done.grad_norm) == pytest.approx(float(exact.grad_norm), rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
def test_the_scaler_halves_at_each_overflow_without_a_step_and_then_goes_on(
    device: torch.device,
) -> None:
    learner = tiny_learner(device, precision="float16")
    high = 2.0**30
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": high})
    begun = [p.detach().clone() for p in learner.model.encoder.parameters()]
    finite: list[bool] = []
    while len(finite) < 40 and not (finite and finite[-1]):
        before = [p.detach().clone() for p in learner.model.encoder.parameters()]
        finite.append(bool(update(learner, views_on(device), 0.9, len(finite) + 1).finite))
        same = all(
            torch.equal(p, old)
            for p, old in zip(learner.model.encoder.parameters(), before, strict=True)
        )
        assert same != finite[-1]
    skipped = finite.count(False)
    assert skipped > 2
    assert finite[-1]
    assert learner.scaler.get_scale() == high / 2**skipped
    assert learner.nonfinite.read().count == skipped
    moved = zip(learner.model.encoder.parameters(), begun, strict=True)
    assert any(not torch.equal(p, old) for p, old in moved)


def test_only_float16_is_scaled() -> None:
    for precision in ("float32", "bfloat16"):
        assert not tiny_learner(torch.device("cpu"), precision=precision).scaler.is_enabled()


@pytest.mark.gpu
def test_a_gpu_that_has_bfloat16_takes_it_by_itself() -> None:
    device = torch.device("cuda")
    wanted = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    assert choose_precision("auto", device) == wanted
    assert tiny_learner(device).precision == wanted
    assert math.isfinite(float(update(tiny_learner(device), views_on(device), 0.9, 1).grad_norm))
