"""The dialogs before something happens to a run: stop, resume, evaluate."""

import dataclasses
from collections.abc import Mapping

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static

from tmssl.config import Config, from_dict, parse_setting
from tmssl.errors import InputError
from tmssl.runs.branching import plan_branch
from tmssl.runs.checkpoints import Sidecar, is_current
from tmssl.runs.history import History
from tmssl.runs.resume_plan import ResumePlan, plan_resume
from tmssl.text import learning_rate, safe
from tui.bindings import EVALUATE, RESUME, STOP, hint
from tui.charts.chart import Series
from tui.runs.plan_chart import PlanChart, planned_line
from tui.runs.start_form import labelled, split_settings
from tui.widgets.choices import Choices
from tui.widgets.dialog import Dialog


class StopDialog(Dialog[bool]):
    """Whether to stop the trainer."""

    BINDINGS = STOP

    def compose(self) -> ComposeResult:
        """The question and its keys."""
        with Vertical(id="dialog"):
            yield Static("Stop the trainer after its step, with a checkpoint?\n")
            yield Static(Text(hint(STOP)))

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.close(yes)


@dataclasses.dataclass(frozen=True)
class Resume:
    """A confirmed resume."""

    settings: tuple[str, ...]
    """as `tmssl train --set` takes them"""
    restart: bool
    """whether the schedule begins anew"""
    branch: bool = False
    """whether it goes on in a run of its own"""


class ResumeDialog(Dialog[Resume]):
    """The number of epochs and changed settings, with the learning rate that they lead to."""

    BINDINGS = RESUME

    def __init__(self, history: History, alive: bool, kept: Mapping[str, Sidecar]) -> None:
        """Plan a resume.

        Args:
            history: of the run.
            alive: whether its trainer runs.
            kept: its checkpoints by name, newest first.
        """
        super().__init__()
        self._history = history
        self._alive = alive
        self._kept = kept
        self._checkpoints = [one for one in kept.values() if is_current(one, history.segments)]
        segment = history.segment
        self._config = from_dict(dict(segment.config)) if segment else Config()
        self._restart = self._branch = False

    def compose(self) -> ComposeResult:
        """The fields, the plan in words, and its chart."""
        with Vertical(id="dialog", classes="large"):
            yield Static(self._question(), id="question")
            epochs = str(self._config.train.epochs + 10)
            example = "changes, such as lr=0.05 temperature=0.1"
            yield labelled("epochs", Input(epochs, type="integer", id="epochs", compact=True))
            yield labelled("settings", Input(placeholder=example, id="more", compact=True))
            yield Static("", id="plan")
            yield PlanChart(id="plan-chart")
            yield Static(Text(hint(RESUME)), classes="line")

    def on_mount(self) -> None:
        """Show the first plan once sizes are known."""
        self.call_after_refresh(self._show_plan)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_plan())

    def _question(self) -> str:
        """What is asked, and what becomes of this run."""
        note = " The trainer is stopped first, with a checkpoint." if self._alive else ""
        if self._branch:
            note = " A new run goes on from a checkpoint; this one stays as it is."
        return f"Train to how many epochs in total?{note}"

    @on(Input.Changed)
    def _show_plan(self) -> None:
        plan = self._plan()
        lines = () if plan is None else self._chart_lines(plan)
        self.query_one(PlanChart).show(lines)

    def _settings(self) -> tuple[str, ...]:
        """The typed settings; the field of the epochs comes last and so wins."""
        epochs = self.query_one("#epochs", Input).value.strip()
        return (*split_settings(self.query_one("#more", Input).value), f"epochs={epochs}")

    def _plan(self) -> ResumePlan | None:
        """The plan for what is typed; None if that is wrong, with the reason shown."""
        epochs = self.query_one("#epochs", Input).value
        verdict = self.query_one("#plan", Static)
        if not epochs.isdecimal() or not 1 <= int(epochs) <= 100_000:
            verdict.update(Text("type a whole number of epochs"))
            return None
        try:
            plan = self._plan_of(self._settings())
        except InputError as error:
            verdict.update(Text(str(error)))
            return None
        rates = learning_rate(plan.lr_before), learning_rate(plan.lr_after)
        restart = "; the schedule restarts here" if self._restart else ""
        text = f"at epoch {plan.epoch:.2f}: old LR {rates[0]}, new LR {rates[1]}, {plan.jump_words}"
        back = f"\n{plan.back_words}" if plan.back_words else ""
        verdict.update(Text(text + restart + back))
        return plan

    def _plan_of(self, settings: tuple[str, ...]) -> ResumePlan:
        """What a resume with these settings would change.

        Raises:
            InputError: the run has ended or has not begun, or a setting is bad or cannot change.
        """
        history, segment = self._history, self._history.segment
        if segment is None or not segment.steps_per_epoch:
            raise InputError("the run has not begun; there is nothing to resume")
        changes = dict(map(parse_setting, settings))
        if self._branch:
            return plan_branch(
                self._kept,
                history.segments,
                self._config,
                changes,
                restart_schedule=self._restart,
            ).resume
        # A live trainer stops where it is; another run is resumed from its last checkpoint.
        written = self._checkpoints or history.checkpoints[-1:]
        step = written[0].step if written and not self._alive else history.step
        return plan_resume(
            self._config,
            changes,
            step=step,
            steps_per_epoch=segment.steps_per_epoch,
            restart_schedule=self._restart,
            trained=from_dict(dict((history.segment_at(step) or segment).config)),
            unended=history.end is None or history.end.status != "finished",
            checkpoints=self._checkpoints,
        )

    def _chart_lines(self, plan: ResumePlan) -> tuple[Series, ...]:
        """The past learning rate, the old plan and the new one."""
        history, segment = self._history, self._history.segment
        assert segment is not None
        past = [(step.epoch, step.lr) for step in history.steps if step.lr is not None]
        lines = [Series("past", tuple(x for x, _ in past), tuple(y for _, y in past), "green")]
        for name, config, first_step, colour in (
            ("old plan", self._config, history.step, "gray"),
            ("new plan", plan.config, plan.step, "yellow"),
        ):
            line = planned_line(
                name,
                config,
                steps_per_epoch=segment.steps_per_epoch,
                first_step=first_step,
                colour=colour,
                dotted=True,
            )
            if len(line.x):
                lines.append(line)
        return tuple(lines)

    @on(Input.Submitted)
    def action_confirm(self) -> None:
        """Close with the answer if the plan is valid."""
        if self._plan() is not None:
            self.close(Resume(self._settings(), self._restart, self._branch))

    def action_restart(self) -> None:
        """Restart the schedule here, or keep it."""
        self._restart = not self._restart
        self._show_plan()

    def action_branch(self) -> None:
        """Go on in a run of its own, or in this one."""
        self._branch = not self._branch
        self.query_one("#question", Static).update(self._question())
        self._show_plan()


class EvaluateDialog(Dialog[str]):
    """Which of the run's checkpoints to evaluate."""

    BINDINGS = EVALUATE

    AUTO_FOCUS = "#kept"

    def __init__(self, checkpoints: Mapping[str, Sidecar], evaluated: frozenset[float]) -> None:
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
        """Close with the name of the selected checkpoint."""
        self.close(self.query_one(Choices).chosen or None)
