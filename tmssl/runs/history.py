"""The history of a run: the events of a journal by kind, without what a resume has repeated."""

import bisect
import dataclasses
import itertools
import time
from typing import cast

from tmssl.runs.events import (
    Axes,
    Branch,
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
    Views,
)
from tmssl.runs.steps import Steps
from tmssl.text import duration, number

_PACE_S = 180.0  # of the newest steps whose pace an ETA follows
_PACE_STEPS = 5  # at least


@dataclasses.dataclass
class History:
    """The events of a run by kind, in order of step; of a repeated step the later one counts."""

    started: Started | None = None
    branch: Branch | None = None
    """where the run left another one; None for a run with a past of its own"""
    axes: Axes | None = None
    """how far the fit of the whitening is that the next segment waits for; None where there is none"""
    segments: list[Segment] = dataclasses.field(default_factory=list)
    positives: list[Positives] = dataclasses.field(default_factory=list)
    views: Views | None = None
    """how far the cached views of the current segment are; None where there are none"""
    steps: Steps = dataclasses.field(default_factory=Steps)
    epochs: list[Epoch] = dataclasses.field(default_factory=list)
    evals: list[Eval] = dataclasses.field(default_factory=list)
    checkpoints: list[Checkpoint] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    counts_from: int = 0
    """step after which evaluations count towards an early end: where a finished run went on, or a branch began"""
    first_finding: int = 0
    """index in `findings` of the first one of the current segment"""
    end: End | None = None
    step_seconds: list[float] = dataclasses.field(default_factory=list)
    """seconds that each segment trained by its trainer's own clock, repeated steps included; 0 if not measured"""
    _counted: int = 0  # the last step in `step_seconds`
    _in_force: list[Segment] = dataclasses.field(default_factory=list)
    """the segments that no later one replaced, each of a later step than the one before"""

    def add(self, events: list[Event]) -> None:
        """Add the next events of the journal."""
        # Consecutive steps are added at once, which is faster.
        for are_steps, together in itertools.groupby(events, key=lambda event: type(event) is Step):
            if are_steps:
                steps = cast("list[Step]", list(together))
                self.steps.take(steps)
                self._count_seconds(steps)
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
            case Axes() | Views():
                self._take_progress(event)
            case Started() | Branch():
                self._begin(event)
            case Eval():
                self.evals.append(event)
            case Checkpoint():
                self.checkpoints.append(event)
            case Finding():
                self.findings.append(event)
            case End():
                self.end, self.axes = event, None

    def _take_progress(self, event: Axes | Views) -> None:
        """Keep the newest word on work before the first step."""
        if isinstance(event, Axes):
            self.axes = event
        else:
            self.views = event

    def _begin(self, event: Started | Branch) -> None:
        """Take in where the run comes from."""
        if isinstance(event, Started):
            self.started = event
        else:
            self.branch, self.end, self.counts_from = event, None, event.step

    def _count_seconds(self, steps: list[Step]) -> None:
        """Add what steps took to the present segment; each stands for those since the one before."""
        if not self.step_seconds:
            return
        seconds, counted = 0.0, self._counted
        for step in steps:
            if step.step_s:
                seconds += step.step_s * max(1, step.step - counted)
            counted = step.step
        self.step_seconds[-1] += seconds
        self._counted = counted

    def _open_segment(self, segment: Segment) -> None:
        """Add a segment, and remove the steps and epochs after its start: a resume repeats them."""
        if self.end is not None and self.end.status == "finished":
            self.counts_from = segment.step
        self.steps.cut(segment.step + 1)
        _drop_from(self.epochs, segment.step + 1)
        self.segments.append(segment)
        while self._in_force and self._in_force[-1].step >= segment.step:
            self._in_force.pop()
        self._in_force.append(segment)
        self.step_seconds.append(0.0)
        self._counted = segment.step
        self.first_finding = len(self.findings)
        self.axes = self.views = self.end = None

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
        """Epochs done so far, a fraction; as the epochs of an imported log, it may count from 0."""
        segment, last = self.segment, self.epochs[-1] if self.epochs else None
        if segment is None or not segment.steps_per_epoch:
            return float(last.epoch) if last else 0.0
        done = self.step / segment.steps_per_epoch
        if self.steps or last is None:
            return done
        return done + last.epoch - last.step / segment.steps_per_epoch

    def segment_at(self, step: int) -> Segment | None:
        """The segment of a step, counted from 1.

        A segment may begin before the previous one; then it replaces the steps of that one.
        """
        begun = bisect.bisect_left(self._in_force, step, key=lambda segment: segment.step)
        if begun:
            return self._in_force[begun - 1]
        return self.segments[0] if self.segments else None

    def nearest(self, step: int) -> Step | None:
        """The logged step nearest to a step; None if nothing is logged."""
        points = self.points
        at = bisect.bisect_left(points.numbers, step)
        return min(
            points[max(0, at - 1) : at + 1], key=lambda point: abs(point.step - step), default=None
        )

    def seconds_per_step(self) -> float | None:
        """Seconds of a step over the last minutes of the current segment; None if not measured.

        By the clock, so that evaluations, checkpoints and waits count, which no step's own time holds.
        """
        begin = self.segments[-1].step if self.segments else -1
        steps, t = self.steps.numbers, self.steps.column("t")
        first = bisect.bisect_right(steps, begin)
        newest = t[-1] if t else 0.0
        # Nearly sorted by time: a clock that was set back gives no pace, and the steps' own times do.
        at = max(first, min(bisect.bisect_left(t, newest - _PACE_S), len(t) - _PACE_STEPS))
        if len(t) - at >= _PACE_STEPS and newest > t[at]:
            return (newest - t[at]) / (steps[-1] - steps[at])
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
            *([self.views] if self.views else []),
            *([self.axes] if self.axes else []),
            *([self.end] if self.end else []),
        ]
        return max((event.t for event in newest if event.t), default=None)

    @property
    def caching(self) -> Views | None:
        """The cached views while they are being computed, before the segment's first step; else None."""
        views, segment = self.views, self.segment
        if views is None or segment is None or self.end is not None:
            return None
        return views if views.done < views.total and self.step <= segment.step else None

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


def caching_text(views: Views) -> str:
    """`computing views 1,200/10,800 (11 %), 90/s, ETA 1m 46s`."""
    new = views.done - views.found
    pace = number(new / views.seconds, 3) if new and views.seconds else "-"
    share = 100 * views.done // max(1, views.total)
    return (
        f"computing views {views.done:,}/{views.total:,} ({share} %), {pace}/s, "
        f"ETA {duration(views.seconds_left)}"
    )


def fitting_text(axes: Axes) -> str:
    """`fitting the whitening 512/4,096 (12 %), 90/s, ETA 40s`."""
    pace = number(axes.done / axes.seconds, 3) if axes.seconds else "-"
    share = 100 * axes.done // max(1, axes.total)
    return (
        f"fitting the whitening {axes.done:,}/{axes.total:,} ({share} %), {pace}/s, "
        f"ETA {duration(axes.seconds_left)}"
    )


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
    caching = history.caching
    return {
        "name": history.started.name if history.started else None,
        "state": state(history, alive),
        "step": history.step,
        "total_steps": history.total_steps,
        "epoch": round(history.epoch, 4),
        "epochs": segment.epochs if segment else None,
        "segments": len(history.segments),
        "branched_from": history.branch.run if history.branch else None,
        "branched_at_epoch": history.branch.epoch if history.branch else None,
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
        "views_done": history.views.done if history.views else None,
        "views_total": history.views.total if history.views else None,
        "views_seconds_left": caching.seconds_left if alive and caching else None,
        "evaluated_epoch": history.evals[-1].epoch if history.evals else None,
    }
