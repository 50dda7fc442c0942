"""Findings from the other figures and from the plan: collapse, data wait, bad numbers, LR jumps, momentum."""

import bisect
import math
import statistics

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.findings.loss import warm_steps
from tmssl.runs.findings.make import make_finding
from tmssl.runs.steps import Steps
from tmssl.text import learning_rate, number, rate

COLLAPSED = 0.1  # spread of the features
_COLLAPSED_STEPS = 5  # in a row
_DATA_WAIT = 0.10  # of a step
_SHORT_WAIT_S = 0.02  # a step on cached views may be shorter than what reading them takes
_JUMP = 2.0  # times the old LR, or a fraction of it
_LEAST_TURNOVERS, _ENOUGH_TURNOVERS = 10, 30  # of the momentum encoder in a run
_FAST_MOMENTUM = 0.9  # it left chance in the shortest runs that were measured
_LEAST_STEPS = 100  # a shorter run learns nothing under any momentum


def collapse(segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """All marks get nearly the same features."""
    in_a_row = 0
    begin = bisect.bisect_left(steps.numbers, warm_steps(segment))
    for index, spread in enumerate(steps.column("feature_std")[begin:], begin):
        in_a_row = in_a_row + 1 if spread < COLLAPSED else 0  # NaN compares as false
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


def starving(segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The device waits for data."""
    timed = [step for step in steps[-20:] if step.data_share is not None]
    if len(timed) < 10:
        return None
    share = statistics.median(step.data_share or 0.0 for step in timed)
    if share <= _DATA_WAIT:
        return None
    wait_s = statistics.median(step.data_s or 0.0 for step in timed)
    if segment.setting("model", "train") == "head" and wait_s < _SHORT_WAIT_S:
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
    kind = "branch" if segment.reason == "branch" else "resume"
    rewarms = segment.setting("optim", "rewarm_step") == segment.step
    spread = rewarms and segment.setting("optim", "rewarm_steps")
    return make_finding(
        segment,
        "warning",
        "lr-jump",
        f"the LR went from {learning_rate(before)} to {learning_rate(after)} ({times}) at a {kind}",
        f"if this was not intended, {kind} with the old --lr; "
        + (
            "more --rewarm-steps spread it further"
            if spread
            else "--rewarm-steps 500 spreads a jump"
        ),
    )


def slow_momentum(segment: Segment, _steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The run is too short for its momentum, so the momentum encoder hardly changes.

    It replaces its random initial weights over about 1 / (1 - m) steps. Runs of 342 and 435 steps at
    m = 0.99, three to four such spans, stayed near chance and learned at 0.9 (tests/bench/ablation.md).
    A head alone begins as the identity, whose keys are right from the first step, so it needs no such span.
    """
    if segment.setting("model", "train") == "head":
        return None
    momentum = segment.figure("optim", "momentum")
    total = segment.epochs * segment.steps_per_epoch
    planned = segment.number == 0 or {"optim.momentum", "train.epochs"} & set(segment.changed)
    if not planned or momentum is None or total < _LEAST_STEPS:
        return None
    if momentum <= _FAST_MOMENTUM or total * (1 - momentum) >= _LEAST_TURNOVERS:
        return None
    if segment.setting("model", "train") == "head":  # both begin as the identity
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
