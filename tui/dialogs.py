"""Questions before something happens: stopping, and going on with more epochs."""

from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tmssl.config import Config, from_dict
from tmssl.errors import InputError
from tmssl.runs.history import History
from tmssl.text import learning_rate
from tmssl.training.resume import ResumePlan, plan_resume
from tmssl.training.schedule import planned_learning_rate
from tui.chart import draw
from tui.series import Line, Picture


class StopDialog(ModalScreen[bool]):
    """Whether to stop the trainer: y or n."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Stop"),
        Binding("n,escape", "answer(False)", "Leave it"),
    ]

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(id="dialog"):
            yield Static(
                "Stop the trainer after its step, with a checkpoint?\n\ny  stop     n  leave it"
            )

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


def plan(history: History, config: Config, epochs: int) -> ResumePlan:
    """What going on to so many epochs would change.

    Raises:
        InputError: the run has done them already, or has not begun.
    """
    segment = history.segment
    if segment is None or not segment.steps_per_epoch:
        raise InputError("the run has not begun; there is nothing to go on from")
    return plan_resume(
        config, {"epochs": epochs}, step=history.step, steps_per_epoch=segment.steps_per_epoch
    )


def plan_words(planned: ResumePlan) -> str:
    """Old LR, new LR and jump."""
    return (
        f"at epoch {planned.epoch:.2f}: old LR {learning_rate(planned.lr_before)}, "
        f"new LR {learning_rate(planned.lr_after)}, {planned.jump_words}"
    )


def plan_picture(history: History, old: Config, new: Config) -> Picture:
    """The learning rate past, as it was planned, and as it would be."""
    segment = history.segment
    assert segment is not None
    per_epoch = segment.steps_per_epoch
    past = [(step.epoch, step.lr) for step in history.steps if step.lr is not None]
    lines = [Line("past", tuple(x for x, _ in past), tuple(y for _, y in past), "green")]
    for name, config, colour in (("old plan", old, "gray"), ("new plan", new, "yellow")):
        total = config.train.epochs * per_epoch
        if history.step >= total:
            continue
        steps = sorted({history.step + (total - 1 - history.step) * i // 60 for i in range(61)})
        rates = [
            planned_learning_rate(
                step, config.optim, steps_per_epoch=per_epoch, epochs=config.train.epochs
            )
            for step in steps
        ]
        lines.append(
            Line(name, tuple(step / per_epoch for step in steps), tuple(rates), colour, dotted=True)
        )
    return Picture("learning rate by epoch", tuple(lines))


class ResumeDialog(ModalScreen[int | None]):
    """How many epochs, with the learning rate that would follow."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, history: History, alive: bool) -> None:
        super().__init__()
        self._history = history
        self._alive = alive
        segment = history.segment
        self._config = from_dict(dict(segment.config)) if segment else Config()

    def compose(self) -> ComposeResult:
        """The field, what it would change, and the picture."""
        with Vertical(id="dialog", classes="large"):
            note = "The trainer is stopped first, with a checkpoint." if self._alive else ""
            yield Static(f"Go on to how many epochs in all?  enter: go on   esc: cancel\n{note}")
            yield Input(
                value=str(self._config.train.epochs + 10), type="integer", id="epochs", compact=True
            )
            yield Static("", id="plan")
            yield Static("", id="plan-chart")

    def on_mount(self) -> None:
        """Show the first plan once sizes are known."""
        self.call_after_refresh(self._show)

    @on(Input.Changed, "#epochs")
    def _changed(self) -> None:
        self._show()

    def _planned(self) -> ResumePlan | None:
        """The plan of the number typed, or None with the reason shown."""
        typed = self.query_one("#epochs", Input).value
        told = self.query_one("#plan", Static)
        if not typed.isdecimal() or not 1 <= int(typed) <= 100_000:
            told.update(Text("type a whole number of epochs"))
            return None
        try:
            planned = plan(self._history, self._config, int(typed))
        except InputError as error:
            told.update(Text(str(error)))
            return None
        told.update(Text(plan_words(planned)))
        return planned

    def _show(self) -> None:
        planned = self._planned()
        chart = self.query_one("#plan-chart", Static)
        if planned is None:
            chart.update("")
            return
        picture = plan_picture(self._history, self._config, planned.config)
        chart.update(Text.from_ansi(draw(picture, chart.size.width, chart.size.height)))

    @on(Input.Submitted, "#epochs")
    def _submitted(self) -> None:
        planned = self._planned()
        if planned is not None:
            self.dismiss(planned.config.train.epochs)

    def action_cancel(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
