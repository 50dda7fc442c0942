"""What a journal says once repeated steps are settled: the one reading that every command shows."""

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
    """A run's events by kind, in order of step; after a resume the later life of a step wins."""

    started: Started | None = None
    segments: list[Segment] = dataclasses.field(default_factory=list)
    positives: list[Positives] = dataclasses.field(default_factory=list)
    steps: Steps = dataclasses.field(default_factory=Steps)
    epochs: list[Epoch] = dataclasses.field(default_factory=list)
    evals: list[Eval] = dataclasses.field(default_factory=list)
    checkpoints: list[Checkpoint] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    first_finding: int = 0
    """position in `findings` of the first made in the segment in force"""
    end: End | None = None

    def add(self, events: list[Event]) -> None:
        """Take in the next events of the journal; steps that follow each other go in together."""
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
        """A resume at a step abandons what an earlier life did after it."""
        self.steps.cut(segment.step + 1)
        _drop_from(self.epochs, segment.step + 1)
        self.segments.append(segment)
        self.first_finding = len(self.findings)
        self.end = None

    @property
    def segment(self) -> Segment | None:
        """The segment in force."""
        return self.segments[-1] if self.segments else None

    @property
    def imported(self) -> bool:
        """Whether it is of a log that was imported: no device trained it here."""
        return self.started is not None and not self.started.device

    @property
    def points(self) -> Steps:
        """The logged steps; in a journal of epochs alone, as an imported log gives, its epochs."""
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
        """Steps at the planned end, 0 before the first segment."""
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
        """The segment that step `step` belongs to (the step that ends there, counted from 1).

        A segment may begin before the one it follows: then it took that one's steps over.
        """
        begun = (segment for segment in reversed(self.segments) if segment.step < step)
        return next(begun, self.segments[0] if self.segments else None)

    def nearest(self, step: int) -> Step | None:
        """The logged step nearest to a step, None when nothing is logged."""
        points = self.points
        at = bisect.bisect_left(points.numbers, step)
        return min(
            points[max(0, at - 1) : at + 1], key=lambda one: abs(one.step - step), default=None
        )

    def seconds_per_step(self) -> float | None:
        """Median seconds of the last logged steps of this segment, or None when nothing was measured.

        An earlier life may have run on another machine.
        """
        begin = self.segments[-1].step if self.segments else -1
        recent = sorted(s.step_s for s in self.steps[-25:] if s.step_s and s.step > begin)
        return recent[len(recent) // 2] if recent else None

    def written_at(self) -> float | None:
        """Unix time of the newest line that tells one, None without."""
        told = [
            *self.steps[-1:],
            *self.epochs[-1:],
            *self.segments[-1:],
            *self.evals[-1:],
            *self.checkpoints[-1:],
            *self.findings[-1:],
            *([self.end] if self.end else []),
        ]
        return max((event.t for event in told if event.t), default=None)

    def seconds_left(self) -> float | None:
        """Seconds to the planned end at the present pace, or None when unknown."""
        pace = self.seconds_per_step()
        return None if pace is None else max(0, self.total_steps - self.step) * pace


def _drop_from(events: list[Epoch], step: int) -> None:
    """Remove the events at or after `step`; they are in order, so only the tail is looked at."""
    while events and events[-1].step >= step:
        events.pop()


def read_history(events: list[Event]) -> History:
    """The history of a list of events."""
    history = History()
    history.add(events)
    return history


_ENDS = ("finished", "stopped", "failed")


def state(history: History, alive: bool) -> str:
    """`waiting`, `running`, `finished`, `stopped`, `failed` or `dead` (the trainer vanished)."""
    if alive:
        return "running" if history.segments else "waiting"
    if history.end is not None:
        told = history.end.status
        return told if told in _ENDS else "stopped"  # a word of another version, or damage
    return "dead" if history.segments else "waiting"


def summary(history: History, alive: bool, now: float | None = None) -> dict[str, object]:
    """The snapshot that `watch --json`, `watch --once`, `runs --json` and the monitor share."""
    moment = time.time() if now is None else now
    segment, last = history.segment, history.steps[-1] if history.steps else None
    mean = history.epochs[-1] if history.epochs else None
    recent = last or mean
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
        "epoch_loss": mean.loss if mean else None,
        "chance": segment.chance if segment else None,
        "solved": segment.solved if segment else None,
        "ce": recent.ce if recent else None,
        "chance_ce": segment.chance_ce if segment else None,
        "top1": recent.top1 if recent else None,
        "lr": recent.lr if recent else None,
        "feature_std": last.feature_std if last else None,
        "img_s": last.img_s if last else None,
        "data_share": last.data_s / last.step_s
        if last and last.step_s and last.data_s is not None
        else None,
        "mem_gib": last.mem_gib if last else None,
        "seconds_left": left,
        "seconds_since_write": max(0.0, moment - written) if written is not None else None,
        "finding": history.findings[-1].text if history.findings else None,
        "advice": history.findings[-1].advice if history.findings else None,
        "evaluated_epoch": history.evals[-1].epoch if history.evals else None,
    }
