"""How a person looks at the curves: axis, smoothing, what is zoomed to, where the crosshair is."""

import dataclasses
import math

from tui.charts.curves import AXES, Curves

WEIGHTS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_LEAST = 1e-6  # share of the whole that can be zoomed to


@dataclasses.dataclass(frozen=True)
class View:
    """A way of looking; every change gives another."""

    axis: str = "epoch"
    weight: float = 0.9
    log: bool = False
    clipped: bool = False
    window: tuple[float, float] | None = None
    """the x that are shown; all, and what is to come, when None"""
    cursor: float | None = None
    """where the crosshair is, None when it is off"""

    def smoother(self, change: int) -> "View":
        """More or less smoothing, in steps."""
        nearest = min(range(len(WEIGHTS)), key=lambda i: abs(WEIGHTS[i] - self.weight))
        place = min(len(WEIGHTS) - 1, max(0, nearest + change))
        return dataclasses.replace(self, weight=WEIGHTS[place])

    def other_axis(self, curves: Curves | None) -> "View":
        """The next axis; what is shown stays the same part of the run."""
        axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        if curves is None or len(curves.step) < 2:
            return dataclasses.replace(self, axis=axis, window=None, cursor=None)
        window = self.window and (
            _carried(self.window[0], curves, self.axis, axis),
            _carried(self.window[1], curves, self.axis, axis),
        )
        if window and window[1] <= window[0]:
            window = None
        cursor = self.cursor
        if cursor is not None:
            cursor = _carried(cursor, curves, self.axis, axis)
        return dataclasses.replace(self, axis=axis, window=window, cursor=cursor)

    def zoomed(
        self,
        factor: float,
        shown: tuple[float, float],
        whole: tuple[float, float],
        at: float | None,
    ) -> "View":
        """Closer (a factor above 1) or farther, with one x where it was.

        Args:
            factor: how much closer.
            shown: the x of the borders now.
            whole: the x of the borders when all is shown.
            at: the x that keeps its place; the crosshair, or else the right border, when None.
        """
        low, high = shown
        middle = at if at is not None else self.cursor if self.cursor is not None else high
        middle = min(high, max(low, middle))
        span = max((high - low) / factor, (whole[1] - whole[0]) * _LEAST)
        if span >= whole[1] - whole[0]:
            return dataclasses.replace(self, window=None)
        share = (middle - low) / (high - low)
        return self._at(middle - share * span, span, whole)

    def panned(
        self, share: float, shown: tuple[float, float], whole: tuple[float, float]
    ) -> "View":
        """Moved along by a share of what is shown."""
        span = shown[1] - shown[0]
        if self.window is None:
            return self
        return self._at(shown[0] + share * span, span, whole)

    def _at(self, low: float, span: float, whole: tuple[float, float]) -> "View":
        """A window of a span, kept inside the whole."""
        low = min(max(low, whole[0]), whole[1] - span)
        if not (math.isfinite(low) and low + span > low):
            return self
        return dataclasses.replace(self, window=(low, low + span))

    def pointed(
        self, x: float | None, shown: tuple[float, float], whole: tuple[float, float]
    ) -> "View":
        """The crosshair at an x, or off; what is zoomed to follows it over a border."""
        if x is None:
            return dataclasses.replace(self, cursor=None)
        x = min(whole[1], max(whole[0], x))
        moved = dataclasses.replace(self, cursor=x)
        if self.window is None or shown[0] <= x <= shown[1]:
            return moved
        span = shown[1] - shown[0]
        return moved._at(x - span * (0.1 if x < shown[0] else 0.9), span, whole)


def _carried(x: float, curves: Curves, before: str, after: str) -> float:
    """A place on one axis as a place on another."""
    import numpy as np

    return float(np.interp(x, curves.across(before), curves.across(after)))
