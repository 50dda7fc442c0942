"""The cost of a run, spent and to come: hours of training times the price of the machine."""

import bisect
import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence

from tmssl.runs.events import Checkpoint, Epoch, Segment, Step
from tmssl.runs.history import History


@dataclasses.dataclass(frozen=True)
class Cost:
    """Money, in the currency of the price."""

    price_per_hour: float
    """of the current segment's machine"""
    spent: float
    to_come: float | None
    """until the planned end at the current speed; None where that is unknown"""


def cost(history: History, price_per_hour: float | None = None) -> Cost | None:
    """The cost of a run; None where no price is known.

    Each segment counts with its own setting `price_per_hour`, since a run may change machines.

    Args:
        history: of the run.
        price_per_hour: of the machine, for all segments; None uses the settings.
    """
    prices = [
        _price(segment) if price_per_hour is None else price_per_hour
        for segment in history.segments
    ]
    if not any(prices):
        return None
    times = segment_seconds(history)
    spent = sum(seconds / 3600 * price for seconds, price in zip(times, prices, strict=True))
    left = history.seconds_left()
    return Cost(prices[-1], spent, None if left is None else left / 3600 * prices[-1])


def cost_words(money: Cost, *, to_come: bool = True) -> str:
    """`1.20 spent, 3.40 to come at 0.4 an hour`."""
    coming = f", {money.to_come:,.2f} to come" if to_come and money.to_come is not None else ""
    return f"{money.spent:,.2f} spent{coming} at {money.price_per_hour:g} an hour"


def _price(segment: Segment) -> float:
    """The price in the settings of a segment, 0 where there is none."""
    return max(0.0, segment.figure("train", "price_per_hour") or 0.0)


def seconds_spent(history: History) -> float:
    """Seconds that all segments trained, by the times in the journal; 0 where it has none."""
    return sum(segment_seconds(history))


def segment_seconds(history: History) -> list[float]:
    """Seconds that each segment trained, by its steps; a wall clock that jumps changes nothing.

    Where the steps were not timed: from its start to the last event written in it, by the wall clock.
    """
    starts = [segment.t for segment in history.segments]
    return [
        seconds or max([last - begin for last in _last_times(history, begin, end)], default=0.0)
        if begin
        else seconds
        for seconds, (begin, end) in zip(
            history.step_seconds, itertools.pairwise([*starts, math.inf]), strict=True
        )
    ]


def _last_times(history: History, begin: float, end: float) -> Iterator[float]:
    """The times of the last step, epoch and checkpoint between two times."""
    series: tuple[Sequence[Step | Epoch | Checkpoint], ...] = (
        history.steps,
        history.epochs,
        history.checkpoints,
    )
    for events in series:
        at = bisect.bisect_left(events, end, key=lambda event: event.t)
        if at and events[at - 1].t >= begin:
            yield events[at - 1].t
