"""The main screen: the state of the watched run, its charts, the last evaluation and the worst finding that is still true."""

import dataclasses

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.text import count, safe
from tui.bindings import LIVE
from tui.charts.chart_panel import ChartPanel
from tui.charts.chart_widget import ChartWidget
from tui.charts.run_charts import OverlayRun
from tui.charts.view_state import ViewState
from tui.live.run_text import state_text, step_text
from tui.live.styled_text import headline, run_lines
from tui.messages import PreferencesChanged
from tui.options import display_options
from tui.preferences import Preferences
from tui.theme import size_classes
from tui.widgets.panel import panel

_LEAST_SIZE = (50, 14)  # columns and rows, for charts
_ABOVE = ("head", "progress", "learning", "machine")
_BELOW = ("evaluation", "finding", "advice")
_TICK_S = 5.0  # between updates of what changes with time alone


def _line(name: str) -> Static:
    """A line of text by its name."""
    return Static("", id=name, classes="line")


class LiveScreen(Screen[None]):
    """The main screen."""

    BINDINGS = LIVE

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._history = History()
        self._alive = False
        self._reading = ""
        self._status = ""
        self.charts = ChartPanel(run)

    def compose(self) -> ComposeResult:
        """Lines of text above and below the charts."""
        self.add_class(*size_classes(*self.app.size))
        yield Static("", id="small")
        with Vertical(id="all"):
            yield panel(Vertical(*map(_line, _ABOVE), classes="lines"), "run")
            yield self.charts
            yield panel(Vertical(*map(_line, _BELOW), classes="lines"), "evaluation and finding")
            yield _line("status")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """Restore the saved view, and start the clock."""
        saved: Preferences = getattr(self.app, "preferences", Preferences())
        self.charts.view = ViewState(saved.axis, saved.weight, saved.log, saved.clipped)
        self.app.theme_changed_signal.subscribe(
            self, lambda _: self.show(self._history, self._alive)
        )
        self.set_interval(_TICK_S, self._tick)
        self.show_status(self._status)  # set before the screen was mounted

    def _tick(self) -> None:
        if self.is_current:
            self._show_words()
            if self.charts.behind:
                self.charts.render_changes()

    def show(self, history: History, alive: bool) -> None:
        """Show a history; the charts follow from a thread."""
        self._history, self._alive = history, alive
        if self.is_mounted:
            self._show_words()
            self.charts.show(history)

    def show_reading(self, share: float, problem: str) -> None:
        """Set how much of the journal was read, or why it cannot be read."""
        if problem:
            self._reading = f"! {problem}"
        else:
            self._reading = f"reading {share:.0%}, a sample is shown" if share < 1 else ""

    def show_status(self, text: str) -> None:
        """Show a line about an action."""
        self._status = text
        if self.is_mounted:
            self._put("status", Text(text, style="italic", no_wrap=True, overflow="ellipsis"))

    def _put(self, name: str, text: Text) -> None:
        """Update a line if it has changed."""
        line = self.query_one(f"#{name}", Static)
        if line.content != text:
            line.update(text, layout=False)  # always one line

    def on_resize(self) -> None:
        """Fit the charts to the new size."""
        self._arrange()
        self.show(self._history, self._alive)

    def _arrange(self) -> None:
        """Show everything, or a message where there is no room for charts."""
        width, height = self.size
        tiny = width < _LEAST_SIZE[0] or height < _LEAST_SIZE[1]
        self.query_one("#all").display = not tiny
        self.query_one("#small").display = tiny
        for name in (*_ABOVE[2:], *_BELOW):
            self.query_one(f"#{name}").display = not self.charts.enlarged
        self.charts.fit()

    def on_screen_resume(self) -> None:
        """Render again after another screen was on top."""
        self.call_after_refresh(self.charts.render_all)

    def _show_words(self) -> None:
        if not self.query("#progress"):
            return  # the app closes, and its widgets go before its last messages
        history, alive = self._history, self._alive
        options = display_options(self.app)
        width = self.query_one("#progress").size.width or self.size.width
        self._put("head", headline(self._run, history, alive, self._reading, options))
        for name, text in run_lines(history, alive, width, options).items():
            self._put(name, text)
        state = f"{safe(self._run.name)}\n{state_text(history, alive)}"
        self._put("small", Text(f"{state}\n(the window is too small for curves)"))

    def go_to_step(self, step: int) -> None:
        """Put the crosshair at a step, and show what was logged there."""
        self.charts.point_at_step(step)
        self.show_status(step_text(self._history, step))

    def _change_view(self, view: ViewState) -> None:
        """Change the view of the charts, and save it."""
        self.charts.change_view(view)
        view = self.charts.view
        self.post_message(
            PreferencesChanged(
                axis=view.axis, weight=view.weight, log=view.log, clipped=view.clipped
            )
        )

    def action_smooth(self, change: int) -> None:
        """Smooth the curves more or less."""
        self._change_view(self.charts.view.smoother(change))
        self.show_status(f"smoothing {self.charts.view.weight:g}")

    def action_axis(self) -> None:
        """Switch to the next horizontal axis."""
        self._change_view(self.charts.view.next_axis(self.charts.curves))
        axis = self.charts.view.axis
        self.show_status(f"axis: {axis}{' in hours' if axis == 'time' else ''}")

    def action_log_scale(self) -> None:
        """Toggle the logarithmic axis of the loss."""
        view = self.charts.view
        self._change_view(dataclasses.replace(view, log=not view.log))

    def action_clip(self) -> None:
        """Toggle between all values and the middle 98 %."""
        view = self.charts.view
        self._change_view(dataclasses.replace(view, clipped=not view.clipped))
        self.show_status(
            "vertical range: all values" if view.clipped else "vertical range: the middle 98 %"
        )

    def action_zoom(self, factor: float) -> None:
        """Zoom in or out."""
        self.charts.zoom(factor)

    def action_move(self, cells: int) -> None:
        """Move the crosshair or the zoom window."""
        self.charts.move(cells)

    def action_crosshair(self) -> None:
        """Toggle the crosshair."""
        self.charts.toggle_crosshair()

    def action_whole(self) -> None:
        """Zoom out to the whole run."""
        self.charts.change_view(dataclasses.replace(self.charts.view, window=None))

    def action_enlarge(self) -> None:
        """Toggle between the chosen chart on the whole screen and all charts."""
        self.charts.enlarged = "" if self.charts.enlarged else (self.charts.chosen.id or "")
        self._arrange()

    def on_chart_widget_enlarged(self, message: ChartWidget.Enlarged) -> None:
        """Toggle between the clicked chart on the whole screen and all charts."""
        self.charts.enlarged = "" if self.charts.enlarged else (message.widget.id or "")
        self._arrange()

    def action_reset(self) -> None:
        """Undo one of: the enlarged chart, the crosshair, the zoom."""
        if self.charts.enlarged:
            self.action_enlarge()
        elif self.charts.view.cursor is not None:
            self.charts.change_view(dataclasses.replace(self.charts.view, cursor=None))
        else:
            self.action_whole()

    def action_overlay(self) -> None:
        """Choose the runs to overlay."""
        from tui.live.overlay import OverlayDialog  # as in the app, when it is asked for

        shown = tuple(overlay.run.path for overlay in self.charts.overlays)
        self.app.push_screen(OverlayDialog(self._run, shown), self._overlay)

    def _overlay(self, runs: tuple[Run, ...] | None) -> None:
        if runs is not None:
            before = {overlay.run.path: overlay for overlay in self.charts.overlays}
            self.charts.overlays = tuple(before.get(run.path) or OverlayRun(run) for run in runs)
            self.show_status(
                f"{count(len(runs), 'run')} over this one" if runs else "this run alone"
            )
            self.charts.render_changes()

    def on_chart_panel_failed(self, message: ChartPanel.Failed) -> None:
        """Say why an overlay run cannot be read."""
        self.show_status(message.problem)
