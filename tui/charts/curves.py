"""A run's history as arrays: copied incrementally, placed on an axis, smoothed."""

import dataclasses
import math
import threading
from typing import TYPE_CHECKING, Any

from tmssl.runs.events import Eval, Segment
from tmssl.runs.history import History
from tmssl.runs.steps import Steps

if TYPE_CHECKING:
    from tmssl.types import Floats

AXES = ("epoch", "step", "time")
STEP_FIELDS = ("loss", "top1", "lr", "momentum", "grad_norm", "feature_std")
_MOST_AGE = 500.0  # exp of it, times a value, is a number


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What the charts show of a run; all arrays have one length and stay unchanged."""

    name: str
    step: "Floats"
    columns: "dict[str, Floats]"
    """`epoch`, `t` and each of `STEP_FIELDS` by step; NaN where it was not measured"""
    segments: tuple[Segment, ...]
    evals: tuple[Eval, ...]
    steps_done: int

    def x_on(self, axis: str) -> "Floats":
        """The x of every step: epochs, steps, or hours since the first step."""
        if axis == "step":
            return self.step
        if axis == "epoch":
            return self.columns["epoch"]
        import numpy as np

        t = self.columns["t"]
        return np.maximum.accumulate((t - t[:1]) / 3600)  # a clock may be set back

    @property
    def segment(self) -> Segment | None:
        """The current segment."""
        return self.segments[-1] if self.segments else None


class ColumnCache:
    """Arrays of a history's columns, which copy only the steps that are new since the last read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # two renderings may overlap
        self._source: tuple[Steps, int] | None = None
        self._arrays: dict[str, Floats] = {}
        self._lengths: dict[str, int] = {}

    def read(self, steps: Steps) -> "dict[str, Floats]":
        """`step`, `epoch`, `t` and `STEP_FIELDS` of every step, even while another thread appends."""
        with self._lock:
            while True:
                cuts, count = steps.cuts, len(steps)
                if self._source is None or self._source[0] is not steps or self._source[1] != cuts:
                    self._arrays, self._lengths = {}, {}
                    self._source = (steps, cuts)
                columns = {"step": self._column("step", steps.numbers, count)}
                for name in ("epoch", "t", *STEP_FIELDS):
                    columns[name] = self._column(name, steps.column(name), count)
                if steps.cuts == cuts:
                    return columns

    def _column(self, name: str, values: Any, count: int) -> "Floats":
        """The first `count` values of a column; arrays returned earlier stay as they are."""
        import numpy as np

        length = self._lengths.get(name, 0)
        array = self._arrays.get(name, np.empty(0))
        if length < count:
            new = np.array(
                values[length:count], dtype=np.float64
            )  # one slice: no half-written step
            if len(array) < count:
                larger = np.empty(count + count // 4 + 1024)
                larger[:length] = array[:length]
                array = self._arrays[name] = larger
            array[length : length + len(new)] = new
            self._lengths[name] = length + len(new)
        return array[:count]


def read_curves(history: History, cache: ColumnCache | None = None, name: str = "") -> Curves:
    """The curves of a history, even while another thread appends to it.

    Args:
        history: of a run.
        cache: from the previous call.
        name: of the run, for the legend where several runs are shown.
    """
    columns = (cache or ColumnCache()).read(history.points)
    segments, evals = tuple(history.segments), tuple(history.evals)
    return Curves(name, columns["step"], columns, segments, evals, history.step)


def smoothing_unit(first: float, last: float, count: int) -> float:
    """The distance between points, in steps, over which the past loses `1 - weight` of its share.

    That is the mean distance of the points, but no more than a hundredth of the curve, so that few points
    are hardly smoothed, and no less than a step.
    """
    return max(1.0, (last - first) / max(100, count - 1))


def smoothed(values: "Floats", weight: float, x: "Floats | None" = None) -> "Floats":
    """Exponential moving average, whose memory fades with the distance between points; gaps stay gaps.

    The mean at a point is that of all points up to it, each weighted by `weight ** (distance / unit)`:
    where points are a unit apart, the moving average with the bias correction of Adam.

    Args:
        values: by point.
        weight: the share of the past, 0 (raw) to below 1.
        x: ascending places of the points, in steps; None where they are a unit apart.
    """
    import numpy as np

    finite = np.isfinite(values)
    if weight <= 0 or not finite.any():
        return np.asarray(values, dtype=np.float64)
    dense = values[finite]
    if x is None:
        places = np.arange(len(dense), dtype=np.float64)
    else:
        places = x[finite]
        places = (places - places[0]) / smoothing_unit(places[0], places[-1], len(places))
    result = np.full(len(values), np.nan)
    result[finite] = _faded_means(dense, places * -math.log(weight))
    return result


def _faded_means(values: "Floats", ages: "Floats") -> "Floats":
    """The mean of all values up to each one, weighted by exp(age - own age); ages ascend.

    Cumulative sums of values times exp(age) give every mean at once; they begin anew before the exponential
    overflows, so that a million values take about 30 ms.
    """
    import numpy as np

    means = np.empty(len(values))
    total = mass = age = 0.0
    begin = 0
    while begin < len(values):
        total, mass = (part * math.exp(age - ages[begin]) for part in (total, mass))
        age = float(ages[begin])
        end = int(np.searchsorted(ages, age + _MOST_AGE, side="right"))
        grown = np.exp(ages[begin:end] - age)
        totals = np.cumsum(grown * values[begin:end]) + total
        masses = np.cumsum(grown) + mass
        means[begin:end] = totals / masses
        age = float(ages[end - 1])
        total, mass = float(totals[-1] / grown[-1]), float(masses[-1] / grown[-1])
        begin = end
    return means
