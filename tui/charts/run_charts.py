"""All charts of a run, rendered in one call that a worker thread makes."""

import dataclasses
from collections.abc import Mapping

from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.runs.journal import Tail
from tui.charts.chart import Chart, evaluation_chart, learning_rate_chart, loss_chart, metric_chart
from tui.charts.curves import ColumnCache, Curves, read_curves
from tui.charts.render import RenderedChart, render_chart
from tui.charts.view_state import ViewState
from tui.options import DisplayOptions

METRIC_CHARTS = {
    "top1": ("instance top-1", "top1"),
    "grad": ("gradient norm", "grad_norm"),
    "spread": ("feature std", "feature_std"),
    "momentum": ("momentum", "momentum"),
}
"""Title and field of each chart that shows one field of the step events."""
_OVERLAY_BYTES = 4 << 20  # of an overlay run's journal to read for one rendering


@dataclasses.dataclass(frozen=True, eq=False)
class RenderRequest:
    """What to render."""

    name: str
    history: History
    view: ViewState
    sizes: Mapping[str, tuple[int, int]]
    """columns and rows of each visible chart"""
    options: DisplayOptions
    overlays: tuple["OverlayRun", ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class RenderedCharts:
    """The charts of one request."""

    request: RenderRequest
    curves: Curves
    charts: Mapping[str, RenderedChart]
    behind: bool
    """whether an overlay run's journal holds more than was read"""


class OverlayRun:
    """Another run whose curves are drawn over the watched run's; its journal is read as it grows."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._tail = Tail(run.journal)
        self._history = History()
        self._cache = ColumnCache()

    def read(self) -> Curves:
        """The curves so far, after reading the next part of the journal."""
        events, restarted = self._tail.poll(_OVERLAY_BYTES)
        if restarted:
            self._history = History()
        self._history.add(events)
        return read_curves(self._history, self._cache, self.run.name)

    @property
    def behind(self) -> bool:
        """Whether the journal holds more than was read."""
        return self._tail.behind


def render_charts(request: RenderRequest, cache: ColumnCache) -> RenderedCharts:
    """Every visible chart of a run.

    Raises:
        JournalError: the journal of an overlay run cannot be read.
    """
    curves = read_curves(request.history, cache, request.name)
    others = [overlay.read() for overlay in request.overlays]
    charts = {}
    for name, (width, height) in request.sizes.items():
        chart = make_chart(name, curves, request.view, others)
        charts[name] = render_chart(chart, width, height, request.options, framed=True)
    behind = any(overlay.behind for overlay in request.overlays)
    return RenderedCharts(request, curves, charts, behind)


def make_chart(name: str, curves: Curves, view: ViewState, others: list[Curves]) -> Chart:
    """The chart of a name, zoomed and clipped as the view says; evaluations have an epoch axis only."""
    axis, weight, window = view.axis, view.weight, view.window
    if name == "hits":
        chart = evaluation_chart(curves, others)
        return dataclasses.replace(chart, window=window if axis == "epoch" else None)
    if name == "lr":
        chart = learning_rate_chart(curves, axis=axis)
    elif name == "loss":
        chart = loss_chart(curves, axis=axis, weight=weight, log=view.log, others=others)
    else:
        title, field = METRIC_CHARTS[name]
        chart = metric_chart(curves, title, field, axis=axis, weight=weight, others=others)
    return dataclasses.replace(chart, window=window, clipped=view.clipped)


def whole_range(name: str, curves: Curves, view: ViewState) -> tuple[float, float]:
    """The x range in which a chart has something to show."""
    x = curves.x_on(view.axis)
    low, high = (float(x[0]), float(x[-1])) if len(x) else (0.0, 1.0)
    segment = curves.segment
    if name == "lr" and segment is not None and view.axis != "time":
        end = segment.epochs if view.axis == "epoch" else segment.epochs * segment.steps_per_epoch
        high = max(high, float(end))
    return low, max(high, low + 1e-9)
