"""The curves: is it alive, is it learning, where on the LR curve, how long still."""

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Footer, Static

from tmssl.runs.folder import Run
from tmssl.runs.history import History
from tmssl.text import safe
from tui.bindings import LIVE, bindings
from tui.chart import draw
from tui.fitted import Fitted
from tui.look import FULL
from tui.messages import ChartDrawn
from tui.series import (
    AXES,
    Picture,
    evaluation_picture,
    loss_picture,
    marked,
    rate_picture,
    simple_picture,
)  # fmt: skip
from tui.words import (
    epoch_table,
    evaluation_words,
    figure_words,
    newest_finding,
    place_words,
    progress_words,
    state_words,
)  # fmt: skip

_WEIGHTS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
_WIDE, _TALL = 120, 36
_SMALL = (50, 14)
_COLOURS = {">": "green", "#": "cyan", "=": "yellow", "!": "bold red", ".": "yellow"}


class LiveScreen(Screen[None]):
    """The main screen."""

    TABLE = LIVE
    BINDINGS = bindings(LIVE)  # type: ignore[assignment]  # a list of Binding is one of the kinds it takes

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run
        self._history = History()
        self._alive = False
        self._axis = 0
        self._weight = 3
        self._log = False
        self._place: int | None = None
        self._drawn: tuple[object, ...] = ()
        self._reading = False

    def compose(self) -> ComposeResult:
        """Header, charts, and what to know, from top to bottom."""
        yield Static("", id="small")
        with Vertical(id="all"):
            yield Static("", id="head", classes="line")
            yield Fitted("", id="progress", classes="line")
            yield Static("", id="learning", classes="line")
            yield Static("", id="machine", classes="line")
            with Horizontal(id="charts"):
                with Vertical(id="main-charts"):
                    yield Fitted("", id="loss", classes="chart tall")
                    yield Fitted("", id="lr", classes="chart")
                with Vertical(id="more-charts"):
                    yield Fitted("", id="top1", classes="chart")
                    yield Fitted("", id="grad", classes="chart")
                    yield Fitted("", id="hits", classes="chart")
                    yield Fitted("", id="epochs", classes="chart")
            yield Static("", id="evaluation", classes="line")
            yield Static("", id="finding", classes="line")
            yield Static("", id="advice", classes="line")
            yield Static("", id="status", classes="line")
        yield Footer()

    def show(self, history: History, alive: bool) -> None:
        """Show a history; charts follow from a thread."""
        self._history, self._alive = history, alive
        self._show()

    def _show(self) -> None:
        """Words at once, charts from a thread, both of the newest history."""
        if self.is_mounted:
            self._show_words()
            self._ask_for_charts()

    def tell_reading(self, share: float, problem: str) -> None:
        """How much of the journal has been read, or why it can't be."""
        if problem:
            self.say(problem)
        elif share < 1:
            self.say(f"reading the journal: {share:.0%}; the curves are a sample of it")
        elif self._reading:
            self.say("")
        self._reading = share < 1 or bool(problem)

    def say(self, words: str) -> None:
        """A line about an action."""
        self.query_one("#status", Static).update(Text(words, style="italic"))

    def on_resize(self) -> None:
        """Take the room there is."""
        width, height = self.size
        tiny = width < _SMALL[0] or height < _SMALL[1]
        self.query_one("#all").display = not tiny
        small = self.query_one("#small", Static)
        small.display = tiny
        self.query_one("#more-charts").display = width >= _WIDE and height >= _TALL

    def on_fitted_resized(self) -> None:
        """A chart has another size."""
        self._show()

    def on_screen_resume(self) -> None:
        """Coming back from another screen."""
        self._drawn = ()
        self.call_after_refresh(self._show)

    def go_to_step(self, step: int) -> None:
        """Mark a step in the curves, and say what was logged there."""
        self._place = step
        self.say(place_words(self._history, step))
        self._ask_for_charts()

    def action_smooth(self, change: int) -> None:
        """Smooth the curves more or less."""
        self._weight = min(len(_WEIGHTS) - 1, max(0, self._weight + change))
        self.say(f"smoothing {_WEIGHTS[self._weight]:g}")
        self._ask_for_charts()

    def action_axis(self) -> None:
        """The next horizontal axis."""
        self._axis = (self._axis + 1) % len(AXES)
        self.say(f"axis: {AXES[self._axis]}{' in hours' if AXES[self._axis] == 'time' else ''}")
        self._ask_for_charts()

    def action_log_scale(self) -> None:
        """Logarithmic loss, on or off."""
        self._log = not self._log
        self._ask_for_charts()

    def _show_words(self) -> None:
        history, alive = self._history, self._alive
        width = self.query_one("#progress").size.width or self.size.width
        words = state_words(history, alive)
        head = Text.assemble(
            (f" {safe(self._run.name)} ", "bold reverse"), "  ", (words, _COLOURS.get(words[0], ""))
        )
        told = {
            "#head": head,
            "#progress": Text(progress_words(history, alive, width)),
            "#evaluation": Text(evaluation_words(history, width)),
            "#small": Text(
                f"{safe(self._run.name)}\n{words}\n(the window is too small for curves)"
            ),
        }
        told["#learning"], told["#machine"] = (Text(line) for line in figure_words(history))
        finding, advice = newest_finding(history)
        told["#finding"] = Text(finding, style="bold" if history.findings else "bright_black")
        told["#advice"] = Text(advice)
        for target, text in told.items():
            text.no_wrap, text.overflow = True, "ellipsis"
            self.query_one(target, Static).update(text)

    def _pictures(self) -> list[tuple[str, Picture, int, int]]:
        """What the visible charts should show, with their sizes."""
        history, axis, weight = self._history, AXES[self._axis], _WEIGHTS[self._weight]
        found = []
        for name in ("loss", "lr", "top1", "grad", "hits"):
            width, height = self.query_one(f"#{name}").size
            if not width or not height:
                continue
            if name == "loss":
                picture = loss_picture(
                    history, axis=axis, weight=weight, log=self._log, buckets=2 * width
                )
            elif name == "lr":
                picture = rate_picture(history, axis=axis, buckets=width // 2)
            elif name == "hits":
                picture = evaluation_picture(history)
            else:
                value = (lambda s: s.top1) if name == "top1" else (lambda s: s.grad_norm)
                title = "top-1" if name == "top1" else "gradient norm"
                picture = simple_picture(
                    history, title, value, axis=axis, weight=weight, buckets=2 * width
                )
            if self._place is not None and name != "hits":
                picture = marked(picture, history, self._place, axis)
            found.append((name, picture, width, height))
        return found

    def _ask_for_charts(self) -> None:
        """Draw in a thread what has changed since it was last drawn."""
        jobs = self._pictures()
        state = tuple((name, width, height, picture) for name, picture, width, height in jobs)
        if state == self._drawn:
            return
        self._drawn = state
        table = self.query_one("#epochs", Static)
        if table.size.height:
            table.update(Text(epoch_table(self._history, table.size.height)))
        self._draw_charts(jobs)

    @work(thread=True, exclusive=True, group="charts")
    def _draw_charts(self, jobs: list[tuple[str, Picture, int, int]]) -> None:
        look = getattr(self.app, "look", FULL)
        for name, picture, width, height in jobs:
            self.post_message(ChartDrawn(name, Text.from_ansi(draw(picture, width, height, look))))

    def on_chart_drawn(self, message: ChartDrawn) -> None:
        """Put a finished chart in its place."""
        self.query_one(f"#{message.target}", Static).update(message.text)
