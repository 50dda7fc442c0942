import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.config import Config, OptimConfig, changed
from tmssl.runs.schedule import (
    chance_ce,
    chance_loss,
    learning_rate,
    momentum,
    planned_decay_begin,
    planned_learning_rate,
    planned_momentum,
    solved_loss,
)


def written_out(
    step: int, per_epoch: int, epochs: int, lr: float, low: float, anchor: float
) -> float:
    """The cosine as the paper prints it, from the anchor to the end."""
    t_cur, t_max = step / per_epoch - anchor, epochs - anchor
    return low + 0.5 * (lr - low) * (1 + math.cos(math.pi * min(1.0, max(0.0, t_cur / t_max))))


@given(
    st.integers(1, 500),
    st.integers(1, 100),
    st.floats(1e-6, 1.0),
    st.floats(0, 1),
    st.integers(0, 99),
    st.data(),
)
def test_every_rate_equals_the_closed_form(
    per_epoch: int, epochs: int, lr: float, share: float, begin: int, data: st.DataObject
) -> None:
    anchor = begin % epochs
    step = data.draw(st.integers(0, per_epoch * epochs - 1))
    told = learning_rate(
        step, steps_per_epoch=per_epoch, epochs=epochs, lr=lr, min_lr=lr * share, anchor=anchor
    )
    assert told == pytest.approx(
        written_out(step, per_epoch, epochs, lr, lr * share, anchor), abs=1e-12
    )


def test_moving_the_end_from_30_to_60_never_climbs_back() -> None:
    def at(step: int, epochs: int) -> float:
        return learning_rate(step, steps_per_epoch=10, epochs=epochs, lr=3e-4, min_lr=1e-6)

    assert at(300, 30) == pytest.approx(1e-6)
    assert at(300, 60) == pytest.approx(1.505e-4)
    rates = [at(step, 60) for step in range(300, 601)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1e-6)


def test_warm_up_rises_to_the_top_and_meets_the_cosine() -> None:
    def at(step: int) -> float:
        return learning_rate(step, steps_per_epoch=10, epochs=20, lr=1.0, warmup_epochs=2)

    rates = [at(step) for step in range(200)]
    assert rates[0] == pytest.approx(1 / 21)
    assert rates[:21] == sorted(rates[:21])
    assert max(rates) == rates[20] == 1.0
    assert rates[20:] == sorted(rates[20:], reverse=True)


def decay_written_out(step: int, per_epoch: int, epochs: int, optim: OptimConfig) -> float:
    """Warm-up, stable rate and decay as the papers print them, each by its own steps."""
    warm, end = optim.warmup_epochs * per_epoch, epochs * per_epoch
    length = round((optim.decay_epochs or epochs / 5) * per_epoch)
    length = min(length, end - math.ceil(warm))
    if step < warm:
        return optim.lr * (step + 1) / (math.floor(warm) + 1)
    if step <= end - length:
        return optim.lr
    share = (step - (end - length)) / length
    left = {
        "linear": 1 - share,
        "cosine": (1 + math.cos(math.pi * share)) / 2,
        "1-sqrt": 1 - share**0.5,
    }[optim.decay_shape]
    return optim.min_lr + (optim.lr - optim.min_lr) * left


STEEPEST: dict[str, Callable[[int], float]] = {
    "linear": lambda steps: 1 / steps,
    "cosine": lambda steps: math.pi / 2 / steps,
    "1-sqrt": lambda steps: math.sqrt(1 / steps),  # its first step
}


@given(
    st.integers(5, 60),
    st.tuples(st.integers(2, 30), st.integers(1, 30), st.integers(1, 30)),
    st.sampled_from(["linear", "cosine", "1-sqrt"]),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_decay_extended_twice_is_the_closed_form_and_never_jumps(
    per_epoch: int, lengths: tuple[int, int, int], shape: str, warmup: float, decay: float
) -> None:
    settings = {"schedule": "wsd", "decay_shape": shape, "warmup_epochs": warmup}
    optim = changed(Config(), {**settings, "decay_epochs": decay, "lr": 0.1}).optim
    rates: list[float] = []
    stable = 0
    for epochs in (lengths[0], sum(lengths[:2]), sum(lengths)):
        begin = planned_decay_begin(optim, steps_per_epoch=per_epoch, epochs=epochs)
        assert begin is not None
        kept = rates[: max(0, stable)]  # the next plan begins its decay later than this one
        rates = [
            planned_learning_rate(step, optim, steps_per_epoch=per_epoch, epochs=epochs)
            for step in range(per_epoch * epochs)
        ]
        assert kept == rates[: len(kept)]
        stable = begin
        for step, rate in enumerate(rates):
            expected = decay_written_out(step, per_epoch, epochs, optim)
            assert rate == pytest.approx(expected, abs=1e-12)
        slope = STEEPEST[shape](max(1, per_epoch * epochs - begin)) * (0.1 - optim.min_lr)
        rise = 0.1 / (math.floor(warmup * per_epoch) + 1)
        for before, after in itertools.pairwise(rates):
            assert -slope - 1e-12 <= after - before <= rise + 1e-12


def test_the_momentum_of_a_stable_phase_knows_no_end() -> None:
    optim = changed(Config(), {"schedule": "wsd", "momentum": 0.9}).optim
    at = [
        [planned_momentum(step, optim, steps_per_epoch=10, epochs=epochs) for step in range(240)]
        for epochs in (30, 50, 100)
    ]
    assert at[0] == at[1] == at[2] == [0.9] * 240
    assert planned_momentum(300, optim, steps_per_epoch=10, epochs=30) == 1
    assert 0.9 < planned_momentum(270, optim, steps_per_epoch=10, epochs=30) < 1


def test_a_constant_stays() -> None:
    rates = {
        learning_rate(s, steps_per_epoch=5, epochs=4, lr=0.1, schedule="constant")
        for s in range(20)
    }
    assert rates == {0.1}


@given(st.integers(1, 10_000), st.floats(0.5, 0.9999))
def test_momentum_rises_from_its_start_to_one(total: int, start: float) -> None:
    assert momentum(0, total_steps=total, start=start) == pytest.approx(start)
    assert momentum(total, total_steps=total, start=start) == pytest.approx(1)
    middle = 1 - (1 - start) * (math.cos(math.pi * (total // 2) / total) + 1) / 2
    assert momentum(total // 2, total_steps=total, start=start) == pytest.approx(middle)


@pytest.mark.parametrize(
    ("keys", "tau", "chance", "solved"),
    [
        (128, 0.2, 3.88, 0.49),
        (128, 1, 19.41, 15.46),
        (256, 0.2, 4.44, 0.80),
        (256, 1, 22.18, 18.21),
        (1024, 0.2, 5.55, 1.65),
        (1024, 1, 27.73, 23.73),
        (4096, 0.2, 6.65, 2.68),
        (4096, 1, 33.27, 29.27),
    ],
)
def test_chance_and_solved_are_those_of_the_literature(
    keys: int, tau: float, chance: float, solved: float
) -> None:
    assert chance_loss(keys, tau) == pytest.approx(chance, abs=0.006)
    assert solved_loss(keys, tau) == pytest.approx(solved, abs=0.006)
    assert chance_ce(keys) == pytest.approx(math.log(keys))
