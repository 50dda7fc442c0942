"""Questions before something happens: stopping, and going on with more epochs."""

import dataclasses

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList, Static

from tmssl.config import Config, from_dict, parse_setting
from tmssl.errors import InputError
from tmssl.runs.checkpoints import Sidecar
from tmssl.runs.history import History
from tmssl.runs.resume_plan import ResumePlan, plan_resume
from tmssl.runs.schedule import planned_learning_rate
from tmssl.text import learning_rate, safe
from tui.bindings import EVALUATE, RESUME, STOP, hint
from tui.charts.chart import Chart, Series
from tui.charts.render import render_text
from tui.options import display_options
from tui.runs.start_form import split_settings
from tui.widgets.choices import Choices

_SUCH_AS = "changed ones, such as lr=0.05 temperature=0.1"


class StopDialog(ModalScreen[bool]):
    """Whether to stop the trainer: y or n."""

    BINDINGS = STOP

    def compose(self) -> ComposeResult:
        """The question."""
        with Vertical(id="dialog"):
            yield Static("Stop the trainer after its step, with a checkpoint?\n")
            yield Static(Text(hint(STOP)))

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(yes)


def plan(
    history: History, config: Config, settings: tuple[str, ...], *, step: int, restart: bool = False
) -> ResumePlan:
    """What going on with such settings from a step would change.

    Raises:
        InputError: the run has done its epochs already or has not begun, or a setting is bad or fixed.
    """
    segment = history.segment
    if segment is None or not segment.steps_per_epoch:
        raise InputError("the run has not begun; there is nothing to go on from")
    return plan_resume(
        config,
        dict(map(parse_setting, settings)),
        step=step,
        steps_per_epoch=segment.steps_per_epoch,
        restart_schedule=restart,
        trained=from_dict(dict((history.segment_at(step) or segment).config)),
        unended=history.end is None or history.end.status != "finished",
    )


def plan_words(planned: ResumePlan) -> str:
    """Old LR, new LR and jump."""
    return (
        f"at epoch {planned.epoch:.2f}: old LR {learning_rate(planned.lr_before)}, "
        f"new LR {learning_rate(planned.lr_after)}, {planned.jump_words}"
    )


def plan_picture(history: History, old: Config, new: Config) -> Chart:
    """The learning rate past, as it was planned, and as it would be."""
    segment = history.segment
    assert segment is not None
    per_epoch = segment.steps_per_epoch
    past = [(step.epoch, step.lr) for step in history.steps if step.lr is not None]
    lines = [Series("past", tuple(x for x, _ in past), tuple(y for _, y in past), "green")]
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
            Series(
                name, tuple(step / per_epoch for step in steps), tuple(rates), colour, dotted=True
            )
        )
    return Chart("learning rate by epoch", tuple(lines))


@dataclasses.dataclass(frozen=True)
class Resume:
    """A resume that was confirmed."""

    settings: tuple[str, ...]
    """as `tmssl train --set` takes them"""
    restart: bool


class ResumeDialog(ModalScreen[Resume | None]):
    """Epochs and changed settings, with the learning rate that would follow."""

    BINDINGS = RESUME

    def __init__(self, history: History, alive: bool) -> None:
        super().__init__()
        self._history = history
        self._alive = alive
        segment = history.segment
        self._config = from_dict(dict(segment.config)) if segment else Config()
        self._restart = False

    def compose(self) -> ComposeResult:
        """The fields, what they would change, and the picture."""
        with Vertical(id="dialog", classes="large"):
            note = " The trainer is stopped first, with a checkpoint." if self._alive else ""
            yield Static(f"Go on to how many epochs in all?{note}")
            epochs = str(self._config.train.epochs + 10)
            for label, field in (
                ("epochs", Input(value=epochs, type="integer", id="epochs", compact=True)),
                ("settings", Input(placeholder=_SUCH_AS, id="more", compact=True)),
            ):
                with Horizontal(classes="field"):
                    yield Label(label, classes="label")
                    yield field
            yield Static("", id="plan")
            yield Static("", id="plan-chart")
            yield Static(Text(hint(RESUME)), classes="line")

    def on_mount(self) -> None:
        """Show the first plan once sizes are known."""
        self.call_after_refresh(self._show)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())

    @on(Input.Changed)
    def _changed(self) -> None:
        self._show()

    def _step(self) -> int:
        """Where it would go on: a trainer that runs is stopped where it is, another left a checkpoint."""
        kept = self._history.checkpoints
        return kept[-1].step if kept and not self._alive else self._history.step

    def _settings(self) -> tuple[str, ...]:
        """What was typed; the field of the epochs speaks last."""
        typed = self.query_one("#epochs", Input).value.strip()
        return (*split_settings(self.query_one("#more", Input).value), f"epochs={typed}")

    def _planned(self) -> ResumePlan | None:
        """The plan of what was typed, or None with the reason shown."""
        typed = self.query_one("#epochs", Input).value
        told = self.query_one("#plan", Static)
        if not typed.isdecimal() or not 1 <= int(typed) <= 100_000:
            told.update(Text("type a whole number of epochs"))
            return None
        try:
            planned = plan(
                self._history,
                self._config,
                self._settings(),
                step=self._step(),
                restart=self._restart,
            )
        except InputError as error:
            told.update(Text(str(error)))
            return None
        again = "; the cosine begins anew here" if self._restart else ""
        told.update(Text(plan_words(planned) + again))
        return planned

    def _show(self) -> None:
        planned = self._planned()
        chart = self.query_one("#plan-chart", Static)
        if planned is None:
            chart.update("")
            return
        picture = plan_picture(self._history, self._config, planned.config)
        chart.update(render_text(picture, chart.size, display_options(self.app)))

    @on(Input.Submitted)
    def action_confirm(self) -> None:
        """Close with the answer, if the plan holds."""
        if self._planned() is not None and self.is_current:  # a second key comes when it is gone
            self.dismiss(Resume(self._settings(), self._restart))

    def action_restart(self) -> None:
        """Begin the cosine anew at this point, or not."""
        self._restart = not self._restart
        self._show()

    def action_cancel(self) -> None:
        """Close without an answer."""
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(None)


class EvaluateDialog(ModalScreen[str | None]):
    """Which checkpoint to evaluate, of those that the run has kept."""

    BINDINGS = EVALUATE

    AUTO_FOCUS = "#kept"

    def __init__(self, checkpoints: dict[str, Sidecar], evaluated: frozenset[float]) -> None:
        super().__init__()
        self._checkpoints = checkpoints
        self._evaluated = evaluated

    def compose(self) -> ComposeResult:
        """The checkpoints, newest first."""
        with Vertical(id="dialog"):
            yield Static("Evaluate which checkpoint?\n")
            yield Choices(id="kept", compact=True)
            yield Static(Text(f"\n{hint(EVALUATE)}"))

    def on_mount(self) -> None:
        """Fill the list."""
        lines = []
        for name, sidecar in self._checkpoints.items():
            done = "  evaluated" if sidecar.epoch in self._evaluated else ""
            place = f"epoch {sidecar.epoch:>8.4g}  step {sidecar.step:>9,}"
            lines.append((name, Text(f"{safe(name, 20):20} {place}{done}")))
        self.query_one(Choices).show(lines)

    @on(OptionList.OptionSelected)
    def action_confirm(self) -> None:
        """Close with the name of the checkpoint."""
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(self.query_one(Choices).chosen or None)

    def action_cancel(self) -> None:
        """Close without an answer."""
        if self.is_current:  # a second key comes when it is gone
            self.dismiss(None)
