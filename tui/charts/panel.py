"""All charts of a run: which fit, drawn in a thread, looked at by keyboard and mouse."""

import dataclasses

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from tmssl.errors import JournalError
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tui.charts.curves import Copies, Curves
from tui.charts.draw_all import Other, Request, draw_all, whole
from tui.charts.epoch_table import table
from tui.charts.messages import ChartsDrawn
from tui.charts.view import View
from tui.charts.widget import ChartView
from tui.options import FULL, Look

_ROWS = (("loss", "lr"), ("top1", "grad", "spread"), ("hits", "momentum", "epochs"))
_TALL = (0, 32, 46)
"""least height of the screen for each row of charts"""
_WIDE = 140
"""least width for a third chart beside two"""


class Charts(Vertical):
    """The charts of a run and the table of its epochs."""

    class Failed(Message):
        """Another run could not be read."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, run: Run) -> None:
        super().__init__(id="charts")
        self.view = View()
        self.full = ""
        """the chart that has the whole screen"""
        self.others: tuple[Other, ...] = ()
        """runs that lie over this one"""
        self._run = run
        self._history = History()
        self._alive = False
        self._curves: Curves | None = None
        self._copies = Copies()
        self._drawn: tuple[object, ...] = ()
        self._is_drawing = False
        self._again = False

    def compose(self) -> ComposeResult:
        """Rows of charts."""
        for place, names in enumerate(_ROWS):
            with Horizontal(id=f"row{place}", classes="charts"):
                for name in names:
                    yield Static("", id=name) if name == "epochs" else ChartView(name)

    @property
    def _look(self) -> Look:
        return getattr(self.app, "look", FULL)

    def fit(self) -> None:
        """Show as many charts as fit, or the one that has the whole screen."""
        width, height = self.screen.size
        for place, names in enumerate(_ROWS):
            fits = height >= _TALL[place]
            self.query_one(f"#row{place}").display = self.full in names if self.full else fits
            for at, name in enumerate(names):
                shown = name == self.full if self.full else at < 2 or width >= _WIDE
                self.query_one(f"#{name}").display = shown

    def show(self, history: History, alive: bool) -> None:
        """Show a history; charts follow from a thread."""
        self._history, self._alive = history, alive
        self.draw()

    def draw_anew(self) -> None:
        """Draw even what seems to be as before."""
        self._drawn = ()
        self.draw()

    @property
    def behind(self) -> bool:
        """Whether another run has grown."""
        return any(other.grown for other in self.others)

    def draw(self) -> None:
        """Draw in a thread what has changed since it was last drawn; one drawing at a time."""
        epochs = self.query_one("#epochs", Static)
        dark, history = self.app.current_theme.dark, self._history
        if epochs.size.height:
            told = table(history, epochs.size.height, self._look, dark)
            if epochs.content != told:
                epochs.update(told, layout=False)
        views = {view.id: view.size for view in self.query(ChartView) if view.display}
        sizes = {str(n): (s.width, s.height) for n, s in views.items() if s.width and s.height}
        steps = history.points
        wanted = (
            self.view,
            tuple(sizes.items()),
            dark,
            len(steps),
            steps.cuts,
            steps.numbers[-1:],
            len(history.epochs),
            len(history.evals),
            len(history.segments),
            self._alive,
            self.others,
        )
        if wanted == self._drawn and not self.behind:
            return
        if self._is_drawing:
            self._again = True
            return
        self._drawn, self._is_drawing, self._again = wanted, True, False
        self._draw(
            Request(
                self._run.name,
                history,
                not self._alive,
                self.view,
                sizes,
                self._look,
                dark,
                self.others,
            )
        )

    @work(thread=True, group="charts")
    def _draw(self, request: Request) -> None:
        try:
            self.post_message(ChartsDrawn(draw_all(request, self._copies)))
        except JournalError as error:
            self.post_message(ChartsDrawn(None, str(error)))

    def on_chart_view_resized(self) -> None:
        """A chart has another size."""
        self.draw()

    def on_charts_drawn(self, message: ChartsDrawn) -> None:
        """Put finished charts in their places; draw again what has changed meanwhile."""
        self._is_drawing = False
        drawing = message.drawing
        if drawing is None:
            self.post_message(self.Failed(message.problem))
            self.others = ()
            self.draw_anew()
            return
        self._curves = drawing.curves
        for name, chart in drawing.charts.items():
            same = drawing.request.view.axis == self.view.axis
            self.query_one(f"#{name}", ChartView).show(chart, self._cursor(name) if same else None)
        if self._again or drawing.behind:
            self.draw_anew()

    def _cursor(self, name: str) -> float | None:
        """Where the crosshair is in a chart; evaluations are placed by epoch only."""
        return self.view.cursor if name != "hits" or self.view.axis == "epoch" else None

    def look_by(self, view: View) -> None:
        """Look in another way; the crosshair alone needs no drawing."""
        before, self.view = self.view, view
        if dataclasses.replace(before, cursor=view.cursor) != view:
            self.draw()
            return
        for chart in self.query(ChartView):
            chart.point(self._cursor(chart.id or ""))

    def other_axis(self) -> View:
        """By the next horizontal axis."""
        return self.view.other_axis(self._curves)

    @property
    def chosen(self) -> ChartView:
        """The chart that has the focus, the loss when none has."""
        focused = self.screen.focused
        if isinstance(focused, ChartView) and focused.display:
            return focused
        return self.query_one(f"#{self.full or 'loss'}", ChartView)

    def _ranges(self, view: ChartView) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """What a chart shows and what it could; None before there is anything, or by another axis."""
        plot = view.chart.plot if view.chart else None
        foreign = view.id == "hits" and self.view.axis != "epoch"
        if plot is None or self._curves is None or foreign:
            return None
        return plot.across, whole(view.id or "", self._curves, self.view)

    def zoom(self, factor: float, at: float | None = None, view: ChartView | None = None) -> None:
        """Closer or farther, with an x where it is."""
        ranges = self._ranges(view or self.chosen)
        if ranges:
            self.look_by(self.view.zoomed(factor, *ranges, at))

    def pan(self, share: float, view: ChartView | None = None) -> None:
        """Along by a share of what is shown."""
        ranges = self._ranges(view or self.chosen)
        if ranges:
            self.look_by(self.view.panned(share, *ranges))

    def point(self, x: float | None, view: ChartView | None = None) -> None:
        """The crosshair at an x, or off."""
        ranges = self._ranges(view or self.chosen)
        if ranges:
            self.look_by(self.view.pointed(x, *ranges))

    def move(self, cells: int) -> None:
        """The crosshair along, or what is zoomed to."""
        plot = self.chosen.chart.plot if self.chosen.chart else None
        if self.view.cursor is None:
            self.pan(cells / 20)
        elif plot is not None:
            self.point(self.view.cursor + cells * plot.cell)

    def switch_crosshair(self) -> None:
        """A crosshair at the newest point, or none."""
        ranges = self._ranges(self.chosen)
        if ranges:
            self.point(min(ranges[0][1], ranges[1][1]) if self.view.cursor is None else None)

    def point_at_step(self, step: int) -> None:
        """The crosshair where a step is."""
        if self._curves is not None and len(self._curves.step):
            import numpy as np

            at = float(np.interp(step, self._curves.step, self._curves.across(self.view.axis)))
            self.look_by(dataclasses.replace(self.view, cursor=at, window=None))

    def on_chart_view_zoomed(self, message: ChartView.Zoomed) -> None:
        """The wheel."""
        self.zoom(message.factor, message.at, message.view)

    def on_chart_view_panned(self, message: ChartView.Panned) -> None:
        """A drag."""
        self.pan(message.share, message.view)

    def on_chart_view_pointed(self, message: ChartView.Pointed) -> None:
        """A click."""
        self.point(message.x, message.view)
