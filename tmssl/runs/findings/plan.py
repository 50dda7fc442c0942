"""What else a run's figures show: collapse, starving, bad numbers, jumps, positives and momentum."""

import bisect
import math
import statistics
from typing import Any

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.findings.loss import setting, warm_steps
from tmssl.runs.history import History
from tmssl.runs.steps import Steps
from tmssl.text import learning_rate, number, rate

_COLLAPSED, _STARVING, _JUMP = 0.1, 0.10, 2.0
_NOISY = 0.8  # of the partners are no more alike than random pairs
_FEW_PARTNERS = 0.5
_TURNOVERS, _ENOUGH_TURNOVERS = 10, 30  # of the momentum encoder in a run: the least, and plenty
_QUICK = 0.9  # the momentum that was measured to leave chance in the shortest runs
_FEW_STEPS = 100  # of which no momentum makes a run that learns


def collapse(segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """All marks land on one point."""
    streak = 0
    begin = bisect.bisect_left(steps.numbers, warm_steps(segment))
    for place, spread in enumerate(steps.column("feature_std")[begin:], begin):
        streak = streak + 1 if spread < _COLLAPSED else 0  # NaN is not below anything
        if streak == 5:
            step = steps[place]
            return Finding(
                code="collapse",
                level="bad",
                step=step.step,
                epoch=step.epoch,
                text=f"features have collapsed: spread {number(step.feature_std, 2)}, where 1 is healthy",
                advice="lower --lr, lengthen --warmup-epochs, or go back to an earlier checkpoint",
            )
    return None


def starving(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The device waits for data."""
    timed = [s for s in steps[-20:] if s.data_s is not None and s.step_s]
    if len(timed) < 10:
        return None
    share = statistics.median((s.data_s or 0.0) / (s.step_s or 1.0) for s in timed)
    if share <= _STARVING:
        return None
    return Finding(
        code="starving",
        level="warning",
        step=timed[-1].step,
        epoch=timed[-1].epoch,
        text=f"each step waits {rate(share)} of its time for data",
        advice="put the pack (TMSSL_CACHE) on a local disk, and close what else uses the cores",
    )


def non_finite(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """A loss that is NaN or infinite."""
    for place, loss in enumerate(steps.column("loss")):
        if math.isnan(loss):
            step = steps[place]
            return Finding(
                code="non-finite",
                level="bad",
                step=step.step,
                epoch=step.epoch,
                text=f"the loss is not a finite number at step {step.step}",
                advice="lower --lr, lengthen --warmup-epochs, or use --precision float32",
            )
    return None


def lr_jump(segment: Segment, _steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The LR changed by more than a factor of two at a resume."""
    before, after = segment.lr_before, segment.lr_after
    if before is None or after is None or before == after:
        return None
    if before and after and 1 / _JUMP <= after / before <= _JUMP:
        return None
    times = f"x{number(after / before, 3)}" if before else "up from 0"
    rewarms = setting(segment, "optim", "rewarm_step") == segment.step
    spread = setting(segment, "optim", "rewarm_steps") if rewarms else 0
    more = (
        "more --rewarm-steps spread it further" if spread else "--rewarm-steps 500 spreads a jump"
    )
    return Finding(
        code="lr-jump",
        level="warning",
        step=segment.step + 1,
        epoch=segment.epoch,
        text=f"the LR went from {learning_rate(before)} to {learning_rate(after)} "
        f"({times}) at a resume",
        advice=f"if that was not meant, resume with the old --lr; {more}",
    )


def positives(history: History, segment: Segment) -> list[Finding]:
    """Marks that share a code look hardly more alike than marks drawn at random, or few share one."""
    told = [event for event in history.positives if event.segment == segment.number]
    if not told:
        return []
    event, found = told[-1], []
    where: Any = {"level": "warning", "step": segment.step + 1, "epoch": segment.epoch}
    if event.with_partner is not None and event.with_partner < _FEW_PARTNERS:
        found.append(
            Finding(
                code="few-partners",
                text=f"only {rate(event.with_partner)} of the marks share a "
                f"{event.level} with another; the rest are their own positive",
                advice="a coarser --vienna-level gives more of them a partner",
                **where,
            )
        )
    if event.noise is not None and event.noise > _NOISY:
        found.append(
            Finding(
                code="noisy-positives",
                text=f"marks that share a {event.level} look hardly more alike than random ones: "
                f"told apart {rate(event.encoder_auc)} of the time by the encoder, "
                f"{rate(event.hash_auc)} by a perceptual hash, where a guess is right 50 %",
                advice="such positives teach noise: --positives instance, or mixed with a small "
                "--vienna-share, or a finer --vienna-level",
                **where,
            )
        )
    return found


def slow_momentum(segment: Segment, _steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The momentum encoder hardly follows in a run of so few steps.

    It forgets its random beginning over 1 / (1 - m) steps. Runs of 342 and 435 steps at m = 0.99, three to
    four such times, stayed near chance where the same at 0.9 learnt (tests/bench/ablation.md).
    """
    start, total = setting(segment, "optim", "momentum"), segment.epochs * segment.steps_per_epoch
    planned = segment.number == 0 or {"optim.momentum", "train.epochs"} & set(segment.changed)
    if not planned or not isinstance(start, float) or start <= _QUICK or total < _FEW_STEPS:
        return None
    if total * (1 - start) >= _TURNOVERS:
        return None
    better = max(_QUICK, 1 - float(f"{_ENOUGH_TURNOVERS / total:.1g}"))
    return Finding(
        code="slow-momentum",
        level="warning",
        step=segment.step + 1,
        epoch=segment.epoch,
        text=f"momentum {start:g} is slow for a run of {total:,} steps: the momentum encoder "
        f"takes {1 / (1 - start):,.0f} steps to follow"
        if start < 1
        else f"momentum 1 keeps the momentum encoder as it began in all {total:,} steps",
        advice=f"--set optim.momentum={better:g}, or more epochs",
    )
