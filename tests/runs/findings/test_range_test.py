"""What a range test says, on curves whose answer is known."""

import itertools
import math

import pytest

from tmssl.runs.findings.range_test import has_diverged, read_range_test, smooth
from tmssl.runs.schedule import RANGE_TEST_STEPS, learning_rate


def rates() -> list[float]:
    return [
        learning_rate(
            step, steps_per_epoch=7, epochs=100, lr=1.0, min_lr=1e-7, schedule="range-test"
        )
        for step in range(RANGE_TEST_STEPS)
    ]


def test_the_rate_rises_by_equal_factors_and_stays() -> None:
    found = rates()
    factors = [after / before for before, after in itertools.pairwise(found)]
    assert found[0] == pytest.approx(1e-7)
    assert found[-1] == pytest.approx(1.0)
    assert max(factors) == pytest.approx(min(factors))
    later = learning_rate(
        500, steps_per_epoch=7, epochs=100, lr=1.0, min_lr=1e-7, schedule="range-test"
    )
    assert later == 1.0


def fall(rate: float) -> float:
    """2 below 1e-4, a straight fall by log10 of the rate to 1 at 1e-2, then a rise to 9 at 1."""
    x = math.log10(rate)
    if x < -4:
        return 2.0
    return 2 - (x + 4) / 2 if x < -2 else 1 + 4 * (x + 2)


def test_a_valley_is_found_and_the_advice_is_where_the_fall_begins() -> None:
    test = read_range_test(rates(), [fall(rate) for rate in rates()])
    assert test.diverged
    assert test.steepest is not None
    assert 1e-4 < test.steepest < 1e-2
    assert test.valley is not None
    assert 1e-4 < test.valley < 1e-2
    assert test.lowest is not None
    assert test.lowest == pytest.approx(1e-2, rel=0.7)
    assert test.onset is not None
    assert 1e-4 < test.onset < test.steepest
    smoothed = dict(zip(test.rates, test.smoothed, strict=True))
    assert smoothed[test.onset] == pytest.approx(2 - 0.1 * (2 - min(test.smoothed)), abs=0.05)
    assert test.advice == test.onset


def test_a_dip_of_noise_before_the_fall_is_not_its_beginning() -> None:
    dipped = [1.2 if 20 <= step < 24 else fall(rate) for step, rate in enumerate(rates())]
    test = read_range_test(rates(), dipped)
    assert test.onset is not None
    assert test.onset > 1e-4


def test_a_fall_that_ends_early_keeps_the_advice_from_its_end() -> None:
    steep = [2.0 if rate < 1e-3 else 1.0 if rate < 1e-2 else 9.0 for rate in rates()]
    test = read_range_test(rates(), steep)
    assert test.lowest is not None
    assert test.advice is not None
    assert test.advice <= test.lowest / 10


def test_a_curve_that_never_falls_gives_no_advice() -> None:
    noisy = [2.0 + 0.4 * math.sin(17 * step * step) for step in range(100)]
    for losses in (noisy, [2.0] * 100, [2.0 + step / 100 for step in range(100)], [2.0] * 3):
        test = read_range_test(rates()[: len(losses)], losses)
        assert (test.advice, test.steepest) == (None, None)


def test_a_test_has_diverged_at_losses_that_are_not_finite_or_back_at_chance() -> None:
    falling = [2 - step / 50 for step in range(50)]
    assert not has_diverged(falling, chance=2.5)
    assert has_diverged([*falling, None], chance=None)
    assert has_diverged([*falling, math.nan], chance=None)
    assert has_diverged([*falling, *[3.6] * 60], chance=2.5)
    assert not has_diverged([*falling, *[3.0] * 60], chance=2.5)
    assert not has_diverged([2.0, 1.6, 2.3, 1.7] * 25, chance=0.8)
    assert not has_diverged([*falling, *[1.9] * 60], chance=2.5)
    assert has_diverged([*falling, *[9.0] * 60], chance=None)
    assert not has_diverged([], chance=None)


def test_the_smoothed_loss_is_a_mean_that_knows_its_beginning() -> None:
    assert smooth([3.0, 3.0, 3.0]) == pytest.approx([3.0, 3.0, 3.0])
    assert smooth([1.0, 2.0], weight=0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
