"""The history of a run: the events of a journal by kind, without what a resume has repeated."""

import bisect
import dataclasses
import itertools
import time
from typing import cast

from tmssl.runs.events import (
    Checkpoint,
    End,
    Epoch,
    Eval,
    Event,
    Finding,
    Positives,
    Segment,
    Started,
    Step,
)
from tmssl.runs.steps import Steps


@dataclasses.dataclass
class History:
    """The events of a run by kind, in order of step; of a repeated step the later one counts."""

    started: Started | None = None
    segments: list[Segment] = dataclasses.field(default_factory=list)
    positives: list[Positives] = dataclasses.field(default_factory=list)
    steps: Steps = dataclasses.field(default_factory=Steps)
    epochs: list[Epoch] = dataclasses.field(default_factory=list)
    evals: list[Eval] = dataclasses.field(default_factory=list)
    checkpoints: list[Checkpoint] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    first_finding: int = 0
    """index in `findings` of the first one of the current segment"""
    end: End | None = None

    def add(self, events: list[Event]) -> None:
        """Add the next events of the journal."""
        # Consecutive steps are added at once, which is faster.
        for are_steps, together in itertools.groupby(events, key=lambda event: type(event) is Step):
            if are_steps:
                self.steps.take(cast("list[Step]", list(together)))
            else:
                for event in together:
                    self._add(event)

    def _add(self, event: Event) -> None:
        match event:
            case Epoch():
                _drop_from(self.epochs, event.step)
                self.epochs.append(event)
            case Segment():
                self._open_segment(event)
            case Positives():
                self.positives.append(event)
            case Started():
                self.started = event
            case Eval():
                self.evals.append(event)
            case Checkpoint():
                self.checkpoints.append(event)
            case Finding():
                self.findings.append(event)
            case End():
                self.end = event

    def _open_segment(self, segment: Segment) -> None:
        """Add a segment, and remove the steps and epochs after its start: a resume repeats them."""
        self.steps.cut(segment.step + 1)
        _drop_from(self.epochs, segment.step + 1)
        self.segments.append(segment)
        self.first_finding = len(self.findings)
        self.end = None

    @property
    def segment(self) -> Segment | None:
        """The current segment."""
        return self.segments[-1] if self.segments else None

    @property
    def imported(self) -> bool:
        """Whether the run is an imported log, which has no device."""
        return self.started is not None and not self.started.device

    @property
    def points(self) -> Steps:
        """The logged steps; if there are only epochs, as in an imported log, these."""
        if self.steps:
            return self.steps
        return Steps(
            Step(
                step=e.step, epoch=float(e.epoch), loss=e.loss, ce=e.ce, top1=e.top1, lr=e.lr, t=e.t
            )
            for e in self.epochs
        )

    @property
    def step(self) -> int:
        """Steps done so far."""
        done = [self.steps[-1].step] if self.steps else []
        done += [self.epochs[-1].step] if self.epochs else []
        done += [self.segments[-1].step] if self.segments else []
        return max(done, default=0)

    @property
    def total_steps(self) -> int:
        """Steps at the planned end; 0 before the first segment."""
        segment = self.segment
        return segment.epochs * segment.steps_per_epoch if segment else 0

    @property
    def epoch(self) -> float:
        """Epochs done so far, a fraction."""
        segment = self.segment
        if segment is None or not segment.steps_per_epoch:
            return float(self.epochs[-1].epoch) if self.epochs else 0.0
        return self.step / segment.steps_per_epoch

    def segment_at(self, step: int) -> Segment | None:
        """The segment of a step, counted from 1.

        A segment may begin before the previous one; then it replaces the steps of that one.
        """
        begun = (segment for segment in reversed(self.segments) if segment.step < step)
        return next(begun, self.segments[0] if self.segments else None)

    def nearest(self, step: int) -> Step | None:
        """The logged step nearest to a step; None if nothing is logged."""
        points = self.points
        at = bisect.bisect_left(points.numbers, step)
        return min(
            points[max(0, at - 1) : at + 1], key=lambda point: abs(point.step - step), default=None
        )

    def seconds_per_step(self) -> float | None:
        """Median seconds of a step in the newest part of the current segment; None if not measured."""
        begin = self.segments[-1].step if self.segments else -1
        recent = sorted(s.step_s for s in self.steps[-25:] if s.step_s and s.step > begin)
        return recent[len(recent) // 2] if recent else None

    def written_at(self) -> float | None:
        """Unix time of the newest event; None if no event has a time."""
        newest = [
            *self.steps[-1:],
            *self.epochs[-1:],
            *self.segments[-1:],
            *self.evals[-1:],
            *self.checkpoints[-1:],
            *self.findings[-1:],
            *([self.end] if self.end else []),
        ]
        return max((event.t for event in newest if event.t), default=None)

    def seconds_left(self) -> float | None:
        """Seconds to the planned end at the current speed; None if that is unknown."""
        pace = self.seconds_per_step()
        return None if pace is None else max(0, self.total_steps - self.step) * pace


def _drop_from(events: list[Epoch], step: int) -> None:
    """Remove the epochs at or after `step` from a list in order of step."""
    while events and events[-1].step >= step:
        events.pop()


def read_history(events: list[Event]) -> History:
    """The history of a list of events."""
    history = History()
    history.add(events)
    return history


_END_STATES = ("finished", "stopped", "failed")


def state(history: History, alive: bool) -> str:
    """`waiting`, `running`, `finished`, `stopped`, `failed`, or `dead` if the trainer vanished."""
    if alive:
        return "running" if history.segments else "waiting"
    if history.end is not None:
        status = history.end.status
        return status if status in _END_STATES else "stopped"  # of another version, or damaged
    return "dead" if history.segments else "waiting"


def summary(history: History, alive: bool, now: float | None = None) -> dict[str, object]:
    """The snapshot that `watch --json`, `watch --once`, `runs --json` and the monitor share.

    Args:
        history: of the run.
        alive: whether a trainer holds the run.
        now: Unix time in seconds; None is the current one.
    """
    now = time.time() if now is None else now
    segment, step = history.segment, history.steps[-1] if history.steps else None
    epoch = history.epochs[-1] if history.epochs else None
    recent = step or epoch
    written = history.written_at()
    left = history.seconds_left() if alive else None
    return {
        "name": history.started.name if history.started else None,
        "state": state(history, alive),
        "step": history.step,
        "total_steps": history.total_steps,
        "epoch": round(history.epoch, 4),
        "epochs": segment.epochs if segment else None,
        "segments": len(history.segments),
        "loss": recent.loss if recent else None,
        "epoch_loss": epoch.loss if epoch else None,
        "chance": segment.chance if segment else None,
        "solved": segment.solved if segment else None,
        "ce": recent.ce if recent else None,
        "chance_ce": segment.chance_ce if segment else None,
        "top1": recent.top1 if recent else None,
        "lr": recent.lr if recent else None,
        "feature_std": step.feature_std if step else None,
        "img_s": step.img_s if step else None,
        "data_share": step.data_share if step else None,
        "mem_gib": step.mem_gib if step else None,
        "seconds_left": left,
        "seconds_since_write": max(0.0, now - written) if written is not None else None,
        "finding": history.findings[-1].text if history.findings else None,
        "advice": history.findings[-1].advice if history.findings else None,
        "evaluated_epoch": history.evals[-1].epoch if history.evals else None,
    }
