"""A run's history as arrays: copied incrementally, placed on an axis, smoothed."""

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from tmssl.runs.events import Eval, Segment
from tmssl.runs.history import History
from tmssl.runs.steps import Steps

if TYPE_CHECKING:
    from tmssl.types import Floats

AXES = ("epoch", "step", "time")
STEP_FIELDS = ("loss", "top1", "lr", "momentum", "grad_norm", "feature_std")
_BLOCK = 64


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


def smoothed(values: "Floats", weight: float) -> "Floats":
    """Exponential moving average with the bias correction of Adam; gaps stay gaps.

    `weight` is the share of the past, 0 (raw) to below 1. One matrix product averages all blocks, and a loop
    carries the mean from block to block: a million values take about 20 ms.
    """
    import numpy as np

    finite = np.isfinite(values)
    if weight <= 0 or not finite.any():
        return np.asarray(values, dtype=np.float64)
    dense = values if finite.all() else values[finite]
    blocks = -(-len(dense) // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[: len(dense)] = dense
    i = np.arange(_BLOCK)
    kernel = np.where(i[:, None] <= i, (1 - weight) * weight ** np.abs(i - i[:, None]), 0.0)
    means = padded.reshape(blocks, _BLOCK) @ kernel
    decay = weight ** (i + 1.0)
    carries, carry = np.empty(blocks), 0.0
    for block, last in enumerate(means[:, -1].tolist()):
        carries[block] = carry
        carry = last + carry * float(decay[-1])
    means += carries[:, None] * decay
    mean = means.ravel()[: len(dense)]
    mean /= -np.expm1(np.arange(1, len(dense) + 1) * np.log(weight))
    if finite.all():
        return mean
    result = np.full(len(values), np.nan)
    result[finite] = mean
    return result
