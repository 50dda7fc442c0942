"""All charts of the live screen at once, off the screen's thread."""

import dataclasses
from collections.abc import Mapping

from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.runs.journal import Tail
from tui.charts.chart import Chart, chart
from tui.charts.curves import Copies, Curves, read_curves
from tui.charts.pictures import (
    Picture,
    evaluation_picture,
    figure_picture,
    loss_picture,
    rate_picture,
)
from tui.charts.view import View
from tui.options import Look

FIGURES = {
    "top1": ("instance top-1", "top1"),
    "grad": ("gradient norm", "grad_norm"),
    "spread": ("feature std", "feature_std"),
    "momentum": ("momentum", "momentum"),
}
"""Charts of one figure each: title and field; the others have pictures of their own."""
_MOST = 4 << 20  # bytes of another run's journal to read for one drawing


@dataclasses.dataclass(frozen=True, eq=False)
class Request:
    """What to draw."""

    name: str
    history: History
    ended: bool
    view: View
    sizes: Mapping[str, tuple[int, int]]
    """cells of each visible chart"""
    look: Look
    dark: bool
    others: tuple["Other", ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Drawing:
    """What was drawn."""

    request: Request
    curves: Curves
    charts: Mapping[str, Chart]
    behind: bool
    """whether another run has more to read"""


class Other:
    """Another run that is laid over the watched one, and read as it grows."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.behind = True
        self._tail = Tail(run.journal)
        self._history = History()
        self._copies = Copies()

    def read(self) -> Curves:
        """Its curves, with a little more of its journal than the time before."""
        events, restarted = self._tail.poll(_MOST)
        if restarted:
            self._history = History()
        self._history.add(events)
        self.behind = self._tail.behind
        return read_curves(self._history, self._copies, self.run.name)

    @property
    def grown(self) -> bool:
        """Whether there is more to read."""
        return self._tail.behind


def draw_all(request: Request, copies: Copies) -> Drawing:
    """Every visible chart of a run.

    Raises:
        JournalError: another run's journal cannot be read.
    """
    curves = read_curves(request.history, copies, request.name, request.ended)
    others = [other.read() for other in request.others]
    charts = {}
    for name, (width, height) in request.sizes.items():
        picture = look_at(picture_of(name, curves, request.view, others), name, request.view)
        charts[name] = chart(picture, width, height, request.look, request.dark)
    return Drawing(request, curves, charts, any(other.behind for other in request.others))


def picture_of(name: str, curves: Curves, view: View, others: list[Curves]) -> Picture:
    """What a chart shows."""
    if name == "lr":
        return rate_picture(curves, axis=view.axis)
    if name == "hits":
        return evaluation_picture(curves, others)
    if name == "loss":
        return loss_picture(curves, axis=view.axis, weight=view.weight, log=view.log, others=others)
    title, figure = FIGURES[name]
    return figure_picture(curves, title, figure, axis=view.axis, weight=view.weight, others=others)


def look_at(picture: Picture, name: str, view: View) -> Picture:
    """A picture as it is looked at; evaluations are placed by epoch only."""
    zoomed = view.window if name != "hits" or view.axis == "epoch" else None
    return dataclasses.replace(picture, window=zoomed, clipped=view.clipped and name != "hits")


def whole(name: str, curves: Curves, view: View) -> tuple[float, float]:
    """The x between which a chart has something to show."""
    x = curves.across(view.axis)
    low, high = (float(x[0]), float(x[-1])) if len(x) else (0.0, 1.0)
    segment = curves.segment
    if name == "lr" and segment is not None and view.axis != "time":
        ends = segment.epochs if view.axis == "epoch" else segment.epochs * segment.steps_per_epoch
        high = max(high, float(ends))
    return low, max(high, low + 1e-9)
