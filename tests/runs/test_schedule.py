import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.runs.schedule import chance_ce, chance_loss, learning_rate, momentum, solved_loss


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
