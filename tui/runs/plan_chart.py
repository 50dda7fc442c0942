"""The chart of a planned learning rate, in the form of a new run and in the resume dialog."""

from textual.widgets import Static

from tmssl.config import Config
from tmssl.runs.schedule import planned_learning_rate
from tui.charts.chart import Chart, Series
from tui.charts.render import render_text
from tui.options import display_options

_POINTS = 120


class PlanChart(Static):
    """Learning rate by epoch."""

    _series: tuple[Series, ...] = ()

    def on_resize(self) -> None:
        """Draw the lines for the new size."""
        self.show(self._series)

    def show(self, lines: tuple[Series, ...]) -> None:
        """Draw lines; without any, the chart is blank."""
        self._series = lines
        if not lines:
            self.update("")
            return
        chart = Chart("learning rate by epoch", lines)
        self.update(render_text(chart, self.size, display_options(self.app)))


def planned_line(
    name: str,
    config: Config,
    *,
    steps_per_epoch: int | None = None,
    first_step: int = 0,
    colour: str = "yellow",
    dotted: bool = False,
) -> Series:
    """The planned learning rate from a step to the end; without points if the end has passed.

    `steps_per_epoch` is None for a run that has not begun.
    """
    epochs = config.train.epochs
    per_epoch = steps_per_epoch or max(1, _POINTS // epochs)
    ahead = epochs * per_epoch - 1 - first_step
    steps = sorted({first_step + ahead * i // _POINTS for i in range(_POINTS + 1)})
    if ahead < 0:
        steps = []
    rates = [
        planned_learning_rate(step, config.optim, steps_per_epoch=per_epoch, epochs=epochs)
        for step in steps
    ]
    places = tuple(step / per_epoch for step in steps)
    return Series(name, places, tuple(rates), colour, dotted=dotted)
