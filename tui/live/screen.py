"""The curves: is it alive, is it learning, where on the LR curve, how long still."""

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
from tui.charts.draw_all import Other
from tui.charts.panel import Charts
from tui.charts.view import View
from tui.charts.widget import ChartView
from tui.live.headline import headline, lines_of_words
from tui.live.overlay import OverlayDialog
from tui.live.words import place_words, state_words
from tui.messages import PreferencesChanged
from tui.options import FULL, Look
from tui.preferences import Preferences

_SMALL = (50, 14)
_ABOVE = ("head", "progress", "learning", "machine")
_BELOW = ("evaluation", "finding", "advice", "status")
_TICK_S = 5.0


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
        self.charts = Charts(run)

    def compose(self) -> ComposeResult:
        """Header, charts, and what to know, from top to bottom."""
        yield Static("", id="small")
        with Vertical(id="all"):
            for name in _ABOVE:
                yield Static("", id=name, classes="line")
            yield self.charts
            for name in _BELOW:
                yield Static("", id=name, classes="line")
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        """As it was left the last time; what changes with time alone is looked at now and then."""
        kept: Preferences = getattr(self.app, "preferences", Preferences())
        self.charts.view = View(kept.axis, kept.weight, kept.log, kept.clipped)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._in_other_colours())
        self.set_interval(_TICK_S, self._tick)
        self.show_status(self._status)  # what was said before there was a line for it

    def _tick(self) -> None:
        if self.is_current:
            self._show_words()
            if self.charts.behind:
                self.charts.draw()

    def _in_other_colours(self) -> None:
        self.show(self._history, self._alive)

    def show(self, history: History, alive: bool) -> None:
        """Show a history; charts follow from a thread."""
        self._history, self._alive = history, alive
        if self.is_mounted:
            self._show_words()
            self.charts.show(history, alive)

    def tell_reading(self, share: float, problem: str) -> None:
        """How much of the journal has been read, or why it can't be."""
        if problem:
            self._reading = f"! {problem}"
        else:
            self._reading = f"reading {share:.0%}, a sample is shown" if share < 1 else ""

    def show_status(self, text: str) -> None:
        """A line about an action."""
        self._status = text
        if self.is_mounted:
            self._put("status", Text(text, style="italic", no_wrap=True, overflow="ellipsis"))

    def _put(self, name: str, text: Text) -> None:
        """Change a line of words, if it changes at all."""
        line = self.query_one(f"#{name}", Static)
        if line.content != text:
            line.update(text, layout=False)  # of one line, whatever it says

    def on_resize(self) -> None:
        """Take the room there is."""
        self._arrange()
        self.show(self._history, self._alive)

    def _arrange(self) -> None:
        """All of it, or a word where there is no room for curves."""
        width, height = self.size
        tiny = width < _SMALL[0] or height < _SMALL[1]
        self.query_one("#all").display = not tiny
        self.query_one("#small").display = tiny
        for name in (*_ABOVE[2:], *_BELOW[:3]):
            self.query_one(f"#{name}").display = not self.charts.full
        self.charts.fit()

    def on_screen_resume(self) -> None:
        """Coming back from another screen."""
        self.call_after_refresh(self.charts.draw_anew)

    def _show_words(self) -> None:
        history, alive = self._history, self._alive
        look: Look = getattr(self.app, "look", FULL)
        dark = self.app.current_theme.dark
        width = self.query_one("#progress").size.width or self.size.width
        self._put("head", headline(self._run, history, alive, self._reading, look, dark))
        for name, text in lines_of_words(history, alive, width, look, dark).items():
            self._put(name, text)
        small = f"{safe(self._run.name)}\n{state_words(history, alive)}\n(the window is too small for curves)"
        self._put("small", Text(small))

    def go_to_step(self, step: int) -> None:
        """The crosshair at a step, and what was logged there."""
        self.charts.point_at_step(step)
        self.show_status(place_words(self._history, step))

    def _look_by(self, view: View) -> None:
        """Look in another way, now and the next time."""
        self.charts.look_by(view)
        view = self.charts.view
        self.post_message(
            PreferencesChanged(
                axis=view.axis, weight=view.weight, log=view.log, clipped=view.clipped
            )
        )

    def action_smooth(self, change: int) -> None:
        """Smooth the curves more or less."""
        self._look_by(self.charts.view.smoother(change))
        self.show_status(f"smoothing {self.charts.view.weight:g}")

    def action_axis(self) -> None:
        """The next horizontal axis."""
        self._look_by(self.charts.other_axis())
        axis = self.charts.view.axis
        self.show_status(f"axis: {axis}{' in hours' if axis == 'time' else ''}")

    def action_log_scale(self) -> None:
        """Logarithmic loss, on or off."""
        view = self.charts.view
        self._look_by(dataclasses.replace(view, log=not view.log))

    def action_clip(self) -> None:
        """Let rare values lie beyond the border, or not."""
        view = self.charts.view
        self._look_by(dataclasses.replace(view, clipped=not view.clipped))
        self.show_status(
            "vertical range: all values" if view.clipped else "vertical range: the middle 98 %"
        )

    def action_zoom(self, factor: float) -> None:
        """Closer or farther."""
        self.charts.zoom(factor)

    def action_move(self, cells: int) -> None:
        """The crosshair along, or what is zoomed to."""
        self.charts.move(cells)

    def action_crosshair(self) -> None:
        """A crosshair, or none."""
        self.charts.switch_crosshair()

    def action_whole(self) -> None:
        """All of the run again."""
        self.charts.look_by(dataclasses.replace(self.charts.view, window=None))

    def action_enlarge(self) -> None:
        """One chart on the whole screen, or all again."""
        self.charts.full = "" if self.charts.full else (self.charts.chosen.id or "")
        self._arrange()

    def on_chart_view_enlarged(self, message: ChartView.Enlarged) -> None:
        """A double click."""
        self.charts.full = "" if self.charts.full else (message.view.id or "")
        self._arrange()

    def action_reset(self) -> None:
        """All charts, no crosshair, all of the run: one after the other."""
        if self.charts.full:
            self.action_enlarge()
        elif self.charts.view.cursor is not None:
            self.charts.look_by(dataclasses.replace(self.charts.view, cursor=None))
        else:
            self.action_whole()

    def action_overlay(self) -> None:
        """Choose runs to lay over this one."""
        shown = tuple(other.run.path for other in self.charts.others)
        self.app.push_screen(OverlayDialog(self._run, shown), self._overlay)

    def _overlay(self, runs: tuple[Run, ...] | None) -> None:
        if runs is not None:
            kept = {other.run.path: other for other in self.charts.others}
            self.charts.others = tuple(kept.get(run.path) or Other(run) for run in runs)
            self.show_status(
                f"{count(len(runs), 'run')} over this one" if runs else "this run alone"
            )
            self.charts.draw()

    def on_charts_failed(self, message: Charts.Failed) -> None:
        """Another run could not be read."""
        self.show_status(message.problem)
