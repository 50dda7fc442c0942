"""The panel of all charts of a run: decides which fit, has them rendered in a thread, handles zoom and crosshair."""

import dataclasses

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Static

from tmssl.errors import JournalError
from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tui.charts.chart_widget import ChartWidget
from tui.charts.curves import ColumnCache, Curves
from tui.charts.epoch_table import epoch_table
from tui.charts.run_charts import (
    OverlayRun,
    RenderedCharts,
    RenderRequest,
    render_charts,
    whole_range,
)
from tui.charts.view_state import Range, ViewState
from tui.options import display_options
from tui.widgets.panel import panel

_ROWS = (("loss", "lr"), ("top1", "grad", "spread"), ("hits", "momentum", "epochs"))
_LEAST_HEIGHTS = (0, 32, 46)  # of the screen, for each row of charts
_LEAST_WIDTH = 140  # of the screen, for a third chart in a row
_PAN_STEPS = 20  # from one border of the zoom window to the other


class ChartPanel(Vertical):
    """The charts of a run and the table of its epochs."""

    class Rendered(Message):
        """A worker has rendered the charts, or failed to."""

        def __init__(self, charts: RenderedCharts | None, problem: str = "") -> None:
            super().__init__()
            self.charts = charts
            self.problem = problem

    class Failed(Message):
        """The journal of an overlay run cannot be read."""

        def __init__(self, problem: str) -> None:
            super().__init__()
            self.problem = problem

    def __init__(self, run: Run) -> None:
        super().__init__(id="charts")
        self.view = ViewState()
        self.enlarged = ""
        """name of the chart that takes the whole screen"""
        self.overlays: tuple[OverlayRun, ...] = ()
        self.curves: Curves | None = None
        """the watched run's, as last rendered"""
        self.is_rendering = False
        self._run = run
        self._history = History()
        self._cache = ColumnCache()
        self._rendered_state: tuple[object, ...] = ()
        self._render_again = False

    def compose(self) -> ComposeResult:
        """Rows of charts."""
        for row, names in enumerate(_ROWS):
            with Horizontal(id=f"row{row}", classes="charts"):
                for name in names:
                    is_table = name == "epochs"
                    yield panel(Static("", id=name), name) if is_table else ChartWidget(name)

    def fit(self) -> None:
        """Show as many charts as fit, or only the enlarged one."""
        width, height = self.screen.size
        for row, names in enumerate(_ROWS):
            tall = height >= _LEAST_HEIGHTS[row]
            self.query_one(f"#row{row}").display = self.enlarged in names if self.enlarged else tall
            for column, name in enumerate(names):
                wide = column < 2 or width >= _LEAST_WIDTH
                shown = name == self.enlarged if self.enlarged else wide
                self.query_one(f"#{name}").display = shown

    def show(self, history: History) -> None:
        """Show a history; a thread renders its charts."""
        self._history = history
        self.render_changes()

    def render_all(self) -> None:
        """Render every chart, even when nothing seems to have changed."""
        self._rendered_state = ()
        self.render_changes()

    @property
    def behind(self) -> bool:
        """Whether the journal of an overlay run holds more than was read."""
        return any(overlay.behind for overlay in self.overlays)

    def render_changes(self) -> None:
        """Render the charts in a thread if anything has changed; one rendering at a time."""
        history, options = self._history, display_options(self.app)
        epochs = self.query_one("#epochs", Static)
        if epochs.size.height:
            table = epoch_table(history, epochs.size.height, options)
            if epochs.content != table:
                epochs.update(table, layout=False)
        shown = {str(chart.id): chart.size for chart in self.query(ChartWidget) if chart.display}
        # The head of a chart stands in its frame.
        sizes = {n: (s.width, s.height + 1) for n, s in shown.items() if s.width and s.height}
        steps = history.points
        lengths = [len(steps), len(history.epochs), len(history.evals), len(history.segments)]
        newest = (*lengths, steps.cuts, steps.numbers[-1:])
        state = (self.view, tuple(sizes.items()), options, newest, self.overlays)
        if state == self._rendered_state and not self.behind:
            return
        if self.is_rendering:
            self._render_again = True
            return
        self._rendered_state, self.is_rendering, self._render_again = state, True, False
        run_name, view = self._run.name, self.view
        request = RenderRequest(run_name, history, view, sizes, options, self.overlays)
        self._render_charts(request)

    @work(thread=True, group="charts")
    def _render_charts(self, request: RenderRequest) -> None:
        try:
            self.post_message(self.Rendered(render_charts(request, self._cache)))
        except JournalError as error:
            self.post_message(self.Rendered(None, str(error)))

    def on_chart_widget_resized(self) -> None:
        """Render for the new size."""
        self.render_changes()

    def on_chart_panel_rendered(self, message: Rendered) -> None:
        """Show rendered charts; render again what has changed meanwhile."""
        self.is_rendering = False
        rendered = message.charts
        if rendered is None:
            self.post_message(self.Failed(message.problem))
            self.overlays = ()
            self.render_all()
            return
        self.curves = rendered.curves
        same_axis = rendered.request.view.axis == self.view.axis
        for name, chart in rendered.charts.items():
            cursor = self._cursor(name) if same_axis else None
            self.query_one(f"#{name}", ChartWidget).show(chart, cursor)
        if self._render_again or rendered.behind:
            self.render_all()

    def _cursor(self, name: str) -> float | None:
        """The crosshair's x in a chart; evaluations have an epoch axis only."""
        return self.view.cursor if name != "hits" or self.view.axis == "epoch" else None

    def change_view(self, view: ViewState) -> None:
        """Show the charts in another view; a moved crosshair needs no rendering."""
        before, self.view = self.view, view
        if dataclasses.replace(before, cursor=view.cursor) != view:
            self.render_changes()
            return
        for chart in self.query(ChartWidget):
            chart.move_cursor(self._cursor(chart.id or ""))

    @property
    def chosen(self) -> ChartWidget:
        """The chart that has the focus; without one, the enlarged chart or the loss."""
        focused = self.screen.focused
        if isinstance(focused, ChartWidget) and focused.display:
            return focused
        return self.query_one(f"#{self.enlarged or 'loss'}", ChartWidget)

    def _ranges(self, chart: ChartWidget) -> tuple[Range, Range] | None:
        """The visible and the whole x range of a chart; None while it is empty or on another axis."""
        plot = chart.rendered.plot if chart.rendered else None
        other_axis = chart.id == "hits" and self.view.axis != "epoch"
        if plot is None or self.curves is None or other_axis:
            return None
        return plot.x_limits, whole_range(chart.id or "", self.curves, self.view)

    def zoom(
        self, factor: float, center: float | None = None, chart: ChartWidget | None = None
    ) -> None:
        """Zoom in by a factor above 1, or out by one below, around an x."""
        ranges = self._ranges(chart or self.chosen)
        if ranges:
            self.change_view(self.view.zoomed(factor, *ranges, center))

    def pan(self, share: float, chart: ChartWidget | None = None) -> None:
        """Move the zoom window by a share of its width."""
        ranges = self._ranges(chart or self.chosen)
        if ranges:
            self.change_view(self.view.panned(share, *ranges))

    def point(self, x: float | None, chart: ChartWidget | None = None) -> None:
        """Put the crosshair at an x, or remove it."""
        ranges = self._ranges(chart or self.chosen)
        if ranges:
            self.change_view(self.view.with_cursor(x, *ranges))

    def move(self, cells: int) -> None:
        """Move the crosshair by so many cells, or without one the zoom window."""
        plot = self.chosen.rendered.plot if self.chosen.rendered else None
        if self.view.cursor is None:
            self.pan(cells / _PAN_STEPS)
        elif plot is not None:
            self.point(self.view.cursor + cells * plot.column_width)

    def toggle_crosshair(self) -> None:
        """Put the crosshair at the newest point, or remove it."""
        ranges = self._ranges(self.chosen)
        if ranges:
            self.point(min(ranges[0][1], ranges[1][1]) if self.view.cursor is None else None)

    def point_at_step(self, step: int) -> None:
        """Put the crosshair at a step, and show the whole run."""
        if self.curves is not None and len(self.curves.step):
            import numpy as np

            x = float(np.interp(step, self.curves.step, self.curves.x_on(self.view.axis)))
            self.change_view(dataclasses.replace(self.view, cursor=x, window=None))

    def on_chart_widget_zoomed(self, message: ChartWidget.Zoomed) -> None:
        """Zoom around the mouse."""
        self.zoom(message.factor, message.center, message.widget)

    def on_chart_widget_panned(self, message: ChartWidget.Panned) -> None:
        """Pan by a drag."""
        self.pan(message.share, message.widget)

    def on_chart_widget_pointed(self, message: ChartWidget.Pointed) -> None:
        """Put the crosshair where the mouse clicked."""
        self.point(message.x, message.widget)
