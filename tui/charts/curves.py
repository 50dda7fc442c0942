"""A run's figures as arrays: copied from its history by what is new only, smoothed, placed on an axis."""

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

from tmssl.runs.events import Epoch, Eval, Segment
from tmssl.runs.history import History
from tmssl.runs.steps import Steps

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

AXES = ("epoch", "step", "time")
FIGURES = ("loss", "top1", "lr", "momentum", "grad_norm", "feature_std")
_BLOCK = 64


@dataclasses.dataclass(frozen=True, eq=False)
class Curves:
    """What charts show of a run; arrays of one length, which nobody changes."""

    name: str
    step: "Floats"
    figures: "dict[str, Floats]"
    """by name: the epoch, the time and what `FIGURES` lists; NaN where it was not measured"""
    segments: tuple[Segment, ...]
    epochs: tuple[Epoch, ...]
    evals: tuple[Eval, ...]
    done: int
    """steps done"""
    ended: bool
    """whether no more is to come for now"""

    def across(self, axis: str) -> "Floats":
        """Where the points lie on an axis: epochs, steps, or hours since the first."""
        if axis == "step":
            return self.step
        if axis == "epoch":
            return self.figures["epoch"]
        import numpy as np

        t = self.figures["t"]
        hours = (t - t[0]) / 3600 if len(t) else t
        return np.maximum.accumulate(hours) if len(hours) else hours  # a clock may be set back

    @property
    def segment(self) -> Segment | None:
        """The segment in force."""
        return self.segments[-1] if self.segments else None


class Copies:
    """Arrays of a history's columns, kept between drawings and brought up to date by what is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # a drawing may begin before another has ended
        self._of: tuple[Steps, int] | None = None
        self._arrays: dict[str, Floats] = {}
        self._count: dict[str, int] = {}

    def read(self, steps: Steps) -> "dict[str, Floats]":
        """`step`, `epoch`, `t` and the figures of every step, safe from whoever appends meanwhile."""
        with self._lock:
            while True:
                cuts, count = steps.cuts, len(steps)
                if self._of is None or self._of[0] is not steps or self._of[1] != cuts:
                    self._arrays, self._count = {}, {}
                    self._of = (steps, cuts)
                found = {"step": self._column("step", steps.numbers, count)}
                for name in ("epoch", "t", *FIGURES):
                    found[name] = self._column(name, steps.column(name), count)
                if steps.cuts == cuts:
                    return found

    def _column(self, name: str, column: Any, count: int) -> "Floats":
        """One column up to a count; arrays handed out before stay as they are."""
        import numpy as np

        have = self._count.get(name, 0)
        if have < count:
            fresh = np.array(
                column[have:count], dtype=np.float64
            )  # one slice: no step is half there
            kept = self._arrays.get(name)
            if kept is None or len(kept) < count:
                grown = np.empty(count + count // 4 + 1024)
                if kept is not None:
                    grown[:have] = kept[:have]
                kept = self._arrays[name] = grown
            kept[have : have + len(fresh)] = fresh
            self._count[name] = have + len(fresh)
        empty = np.empty(0)
        return self._arrays.get(name, empty)[:count]


def read_curves(
    history: History, copies: Copies | None = None, name: str = "", ended: bool = True
) -> Curves:
    """The curves of a history, whoever appends to it meanwhile.

    Args:
        history: of a run.
        copies: kept from the drawing before.
        name: the run's, where several are shown.
        ended: whether no more is to come.
    """
    figures = (copies or Copies()).read(history.points)
    return Curves(
        name,
        figures["step"],
        figures,
        tuple(history.segments),
        tuple(history.epochs),
        tuple(history.evals),
        history.step,
        ended,
    )


def smoothed(values: "Floats", weight: float) -> "Floats":
    """Exponential moving average with its start corrected for bias, as in Adam; gaps stay gaps.

    `weight` is the share of the past, 0 (raw) to below 1. Blocks are averaged by one product of matrices, and
    only what one block leaves to the next goes step by step: a million values take some 20 ms.
    """
    import numpy as np

    known = np.isfinite(values)
    if weight <= 0 or not known.any():
        return np.asarray(values, dtype=np.float64)
    told = values if known.all() else values[known]
    blocks = -(-len(told) // _BLOCK)
    padded = np.zeros(blocks * _BLOCK)
    padded[: len(told)] = told
    place = np.arange(_BLOCK)
    inside = np.where(
        place[:, None] <= place, (1 - weight) * weight ** np.abs(place - place[:, None]), 0.0
    )
    means = padded.reshape(blocks, _BLOCK) @ inside
    decay = weight ** (place + 1.0)
    carried, carry = np.empty(blocks), 0.0
    for block, last in enumerate(means[:, -1].tolist()):
        carried[block] = carry
        carry = last + carry * float(decay[-1])
    means += carried[:, None] * decay
    mean = means.ravel()[: len(told)]
    mean /= -np.expm1(np.arange(1, len(told) + 1) * np.log(weight))
    if known.all():
        return mean
    result = np.full(len(values), np.nan)
    result[known] = mean
    return result
