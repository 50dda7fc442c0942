"""What a range test of the learning rate says: the smoothed loss by rate, where it falls and diverges, advice."""

import itertools
import math
import statistics
from collections.abc import Sequence

import msgspec

SMOOTHING = 0.9
"""weight of the past in the smoothed loss; fastai has 0.98 for losses that are noisier than these"""
DIVERGED = 4.0
"""times the lowest smoothed loss at which a test has diverged, as in fastai"""
_BEGINNING = 10  # steps until the smoothed loss stands for more than a few
_ABOVE = (
    1.25  # times the loss at the beginning, or that of chance, at which a test has diverged too
)
_ONSET = 0.1
"""of the whole fall of the smoothed loss that is done where the fall begins"""
_NOISES = 4.0  # standard errors of the smoothed loss that a fall must exceed


class RangeTest(msgspec.Struct, frozen=True, kw_only=True):
    """The curve of a range test with its advice; a rate is None where the curve does not show it."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    chance: float | None = None
    """loss of a model that has learned nothing"""
    diverged: bool = False
    """whether the loss left its valley before the last step"""
    steepest: float | None = None
    """rate at which the smoothed loss falls fastest by the logarithm of the rate"""
    valley: float | None = None
    """two thirds into the longest run of falling losses, fastai's default"""
    lowest: float | None = None
    """rate of the lowest smoothed loss"""
    onset: float | None = None
    """rate at which a tenth of the fall of the smoothed loss is done"""
    advice: float | None = None
    """a highest learning rate to begin with"""


def smooth(losses: Sequence[float], weight: float = SMOOTHING) -> list[float]:
    """The exponential moving average, corrected for its beginning."""
    mean, smoothed = 0.0, []
    for at, loss in enumerate(losses, 1):
        mean = weight * mean + (1 - weight) * loss
        smoothed.append(mean / (1 - weight**at))
    return smoothed


def has_diverged(losses: Sequence[float | None], chance: float | None) -> bool:
    """Whether a loss is not finite, or the smoothed one has left its valley.

    That is four times its lowest, as in fastai. Losses of a contrast are bounded, so it is also a quarter above
    both the loss at the beginning and that of a model that has learned nothing (`chance`).
    """
    finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
    if len(finite) < len(losses):
        return True
    if len(finite) < _BEGINNING:
        return False
    smoothed = smooth(finite)[_BEGINNING - 1 :]
    level = max(smoothed[0], smoothed[0] if chance is None else chance)
    return smoothed[-1] > min(DIVERGED * min(smoothed), _ABOVE * level)


def read_range_test(
    rates: Sequence[float], losses: Sequence[float | None], chance: float | None = None
) -> RangeTest:
    """The curve and the advice of a range test, from the rate and the loss of each step.

    The advice is the rate at which the fall begins, the lower bound of Smith (2017, arXiv 1506.01186, section 3.3), at
    most fastai's valley and at most a tenth of the rate of the lowest loss, as fastai's `minimum`. Losses of a
    contrast are bounded and go on falling at rates far above those that find most (docs/experiments.md).
    """
    points = [
        (rate, loss)
        for rate, loss in zip(rates, losses, strict=True)
        if loss is not None and math.isfinite(loss)
    ]
    xs, ys = [rate for rate, _ in points], [loss for _, loss in points]
    smoothed = smooth(ys)
    test = RangeTest(
        rates=xs,
        losses=ys,
        smoothed=smoothed,
        chance=chance,
        diverged=has_diverged(losses, chance),
    )
    begin = _BEGINNING - 1
    if len(xs) <= _BEGINNING:
        return test
    low = smoothed.index(min(smoothed[begin:]), begin)
    if smoothed[begin] - smoothed[low] <= _NOISES * _noise(ys[: low + 1]):
        return test
    steepest = begin + _steepest(smoothed[begin : low + 1])
    valley = begin + _valley(smoothed[begin:])
    onset = begin + _onset(smoothed[begin : low + 1])
    return msgspec.structs.replace(
        test,
        steepest=xs[steepest],
        valley=xs[valley],
        lowest=xs[low],
        onset=xs[onset],
        advice=min(xs[onset], xs[valley], xs[low] / 10),
    )


def _noise(losses: Sequence[float]) -> float:
    """The standard error of the smoothed loss, by how much the loss of a step differs from that of the next."""
    changes = [after - before for before, after in itertools.pairwise(losses)]
    scatter = statistics.pstdev(changes) / math.sqrt(2)
    return scatter * math.sqrt((1 - SMOOTHING) / (1 + SMOOTHING))


def _steepest(smoothed: Sequence[float]) -> int:
    """Index of the fastest fall; the rate rises by equal factors, so each step counts the same."""
    falls = [before - after for before, after in itertools.pairwise(smoothed)]
    return falls.index(max(falls)) if falls else 0


def _onset(smoothed: Sequence[float]) -> int:
    """Index behind the last loss that is above a tenth of the fall from the first to the last."""
    level = smoothed[0] - _ONSET * (smoothed[0] - smoothed[-1])
    return max(at for at, loss in enumerate(smoothed) if loss > level) + 1


def _valley(losses: Sequence[float]) -> int:
    """Index two thirds into the longest falling subsequence, as fastai's `valley`."""
    lengths, begins = [1] * len(losses), list(range(len(losses)))
    for i, loss in enumerate(losses):
        for j in range(i):
            if loss < losses[j] and lengths[i] < lengths[j] + 1:
                lengths[i], begins[i] = lengths[j] + 1, begins[j]
    end = lengths.index(max(lengths))
    third = (end - begins[end]) / 3
    return begins[end] + int(2 * third)
