"""What a person chose to see of the curves: axis, smoothing, zoom window, crosshair."""

import dataclasses
import math

from tui.charts.curves import AXES, Curves

_WEIGHTS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_SMALLEST = 1e-6  # zoom window, as a share of the whole range
Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class ViewState:
    """Axis, smoothing, zoom window and crosshair; immutable, so every change returns a new state."""

    axis: str = "epoch"
    weight: float = 0.9
    """of the past in smoothed curves"""
    log: bool = False
    clipped: bool = False
    window: Range | None = None
    """the x range to show; None shows all, with what is planned"""
    cursor: float | None = None
    """x of the crosshair; None when it is off"""

    def smoother(self, steps: int) -> "ViewState":
        """With the smoothing weight so many steps higher, or lower when negative."""
        nearest = min(range(len(_WEIGHTS)), key=lambda i: abs(_WEIGHTS[i] - self.weight))
        index = min(len(_WEIGHTS) - 1, max(0, nearest + steps))
        return dataclasses.replace(self, weight=_WEIGHTS[index])

    def next_axis(self, curves: Curves | None) -> "ViewState":
        """On the next axis; window and cursor keep their part of the run."""
        axis = AXES[(AXES.index(self.axis) + 1) % len(AXES)]
        if curves is None or len(curves.step) < 2:
            return dataclasses.replace(self, axis=axis, window=None, cursor=None)
        import numpy as np

        def convert(x: float) -> float:
            return float(np.interp(x, curves.x_on(self.axis), curves.x_on(axis)))

        window = self.window and (convert(self.window[0]), convert(self.window[1]))
        if window and window[1] <= window[0]:
            window = None
        cursor = None if self.cursor is None else convert(self.cursor)
        return dataclasses.replace(self, axis=axis, window=window, cursor=cursor)

    def zoomed(
        self, factor: float, visible: Range, whole: Range, center: float | None
    ) -> "ViewState":
        """Zoomed in by a factor above 1, or out by one below; `center` keeps its place on the screen.

        Args:
            factor: how many times fewer x the window spans.
            visible: the x range that is shown now.
            whole: the x range when all is shown.
            center: an x; when None, the crosshair, or without it the right border.
        """
        low, high = visible
        if center is None:
            center = high if self.cursor is None else self.cursor
        center = min(high, max(low, center))
        span = max((high - low) / factor, (whole[1] - whole[0]) * _SMALLEST)
        if span >= whole[1] - whole[0]:
            return dataclasses.replace(self, window=None)
        share = (center - low) / (high - low)
        return self._with_window(center - share * span, span, whole)

    def panned(self, share: float, visible: Range, whole: Range) -> "ViewState":
        """With the zoom window moved by a share of its width."""
        if self.window is None:
            return self
        span = visible[1] - visible[0]
        return self._with_window(visible[0] + share * span, span, whole)

    def _with_window(self, low: float, span: float, whole: Range) -> "ViewState":
        """With a window of a span, moved inside the whole range."""
        low = min(max(low, whole[0]), whole[1] - span)
        if not (math.isfinite(low) and low + span > low):
            return self
        return dataclasses.replace(self, window=(low, low + span))

    def with_cursor(self, x: float | None, visible: Range, whole: Range) -> "ViewState":
        """With the crosshair at an x, or off; the zoom window follows it across its border."""
        if x is None:
            return dataclasses.replace(self, cursor=None)
        x = min(whole[1], max(whole[0], x))
        moved = dataclasses.replace(self, cursor=x)
        if self.window is None or visible[0] <= x <= visible[1]:
            return moved
        span = visible[1] - visible[0]
        return moved._with_window(x - span * (0.1 if x < visible[0] else 0.9), span, whole)
