"""Findings from the other figures and from the plan: collapse, data wait, bad numbers, LR jumps, momentum."""

import bisect
import math
import statistics

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.findings.loss import warm_steps
from tmssl.runs.findings.make import make_finding
from tmssl.runs.history import History
from tmssl.runs.steps import Steps
from tmssl.text import learning_rate, number, rate

_COLLAPSED = 0.1  # spread of the features
_COLLAPSED_STEPS = 5  # in a row
_DATA_WAIT = 0.10  # of a step
_JUMP = 2.0  # times the old LR, or a fraction of it
_NOISY = 0.8  # share of partners that look no more alike than random pairs
_FEW_PARTNERS = 0.5  # share of marks with a partner
_LEAST_TURNOVERS, _ENOUGH_TURNOVERS = 10, 30  # of the momentum encoder in a run
_FAST_MOMENTUM = 0.9  # it left chance in the shortest runs that were measured
_LEAST_STEPS = 100  # a shorter run learns nothing under any momentum


def collapse(segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """All marks get nearly the same features."""
    in_a_row = 0
    begin = bisect.bisect_left(steps.numbers, warm_steps(segment))
    for index, spread in enumerate(steps.column("feature_std")[begin:], begin):
        in_a_row = in_a_row + 1 if spread < _COLLAPSED else 0  # NaN compares as false
        if in_a_row == _COLLAPSED_STEPS:
            return make_finding(
                steps[index],
                "bad",
                "collapse",
                f"features have collapsed onto one point: their spread is {number(spread, 2)}, where 1 "
                "is healthy",
                "lower --lr, lengthen --warmup-epochs, or resume from an earlier checkpoint",
            )
    return None


def starving(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The device waits for data."""
    timed = [step for step in steps[-20:] if step.data_share is not None]
    if len(timed) < 10:
        return None
    share = statistics.median(step.data_share or 0.0 for step in timed)
    if share <= _DATA_WAIT:
        return None
    return make_finding(
        timed[-1],
        "warning",
        "starving",
        f"the device waits for data during {rate(share)} of each step",
        "put the pack (TMSSL_CACHE) on a local disk, and stop other programs that use the cores",
    )


def non_finite(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """A loss is NaN or infinite."""
    for index, loss in enumerate(steps.column("loss")):
        if math.isnan(loss):
            return make_finding(
                steps[index],
                "bad",
                "non-finite",
                f"the loss is NaN or infinite at step {steps.numbers[index]}",
                "lower --lr, lengthen --warmup-epochs, or use --precision float32",
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
    rewarms = segment.setting("optim", "rewarm_step") == segment.step
    spread = rewarms and segment.setting("optim", "rewarm_steps")
    return make_finding(
        segment,
        "warning",
        "lr-jump",
        f"the LR went from {learning_rate(before)} to {learning_rate(after)} ({times}) at a resume",
        "if this was not intended, resume with the old --lr; "
        + (
            "more --rewarm-steps spread it further"
            if spread
            else "--rewarm-steps 500 spreads a jump"
        ),
    )


def positives(history: History, segment: Segment) -> list[Finding]:
    """Few marks share a Vienna code, or those that do look hardly more alike than random pairs."""
    events = [event for event in history.positives if event.segment == segment.number]
    if not events:
        return []
    event, findings = events[-1], []
    if event.with_partner is not None and event.with_partner < _FEW_PARTNERS:
        findings.append(
            make_finding(
                segment,
                "warning",
                "few-partners",
                f"only {rate(event.with_partner)} of the marks share a {event.level} with another; the "
                "others are paired with themselves",
                "use a coarser --vienna-level, which gives more marks a partner",
            )
        )
    if event.noise is not None and event.noise > _NOISY:
        findings.append(
            make_finding(
                segment,
                "warning",
                "noisy-positives",
                f"marks that share a {event.level} look hardly more alike than random pairs: the encoder "
                f"tells the two apart {rate(event.encoder_auc)} of the time, a perceptual hash "
                f"{rate(event.hash_auc)}, a guess 50 %",
                "such positives teach noise: use --positives instance, --positives mixed with a small "
                "--vienna-share, or a finer --vienna-level",
            )
        )
    return findings


def slow_momentum(segment: Segment, _steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The run is too short for its momentum, so the momentum encoder hardly changes.

    It replaces its random initial weights over about 1 / (1 - m) steps. Runs of 342 and 435 steps at
    m = 0.99, three to four such spans, stayed near chance and learned at 0.9 (tests/bench/ablation.md).
    """
    momentum = segment.setting("optim", "momentum")
    total = segment.epochs * segment.steps_per_epoch
    planned = segment.number == 0 or {"optim.momentum", "train.epochs"} & set(segment.changed)
    if not planned or not isinstance(momentum, float) or total < _LEAST_STEPS:
        return None
    if momentum <= _FAST_MOMENTUM or total * (1 - momentum) >= _LEAST_TURNOVERS:
        return None
    better = max(_FAST_MOMENTUM, 1 - float(f"{_ENOUGH_TURNOVERS / total:.1g}"))
    return make_finding(
        segment,
        "warning",
        "slow-momentum",
        f"momentum {momentum:g} is slow for a run of {total:,} steps: the momentum encoder "
        f"takes {1 / (1 - momentum):,.0f} steps to follow"
        if momentum < 1
        else f"momentum 1 never updates the momentum encoder in {total:,} steps",
        f"--set optim.momentum={better:g}, or more epochs",
    )
