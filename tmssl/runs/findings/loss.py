"""Findings from the loss: at chance, rising, on a plateau, or out of it.

A loss is compared with chance and with a perfect model, since its size alone says nothing: chance is
5.55 at temperature 0.2 with 1,024 keys, and 33.27 at temperature 1 with 4,096.
"""

import bisect
import itertools
import math
import statistics

from tmssl.runs.events import Epoch, Finding, Segment, Step
from tmssl.runs.findings.make import make_finding
from tmssl.runs.history import History
from tmssl.runs.steps import Steps
from tmssl.text import learning_rate, number

# Distances between losses are shares of the way from chance (0) to solved (1) unless said otherwise.
AT_CHANCE = 0.02  # below it, the model has learned nothing
_MOST_STEPS = 1 << 53  # a journal counts no further
_PATIENCE = 200  # steps after the warm-up that a run has to leave chance
_RISE_BEGINS = 0.003  # of the chance level, above the lowest loss
_RISE_REACHES = 0.012  # of the chance level: beyond the noise of short epochs
_RISE_NOISES = (
    5  # times the noise between epochs; of ten, the lowest is 1.5 deviations below the mean
)
_PLATEAU_EPOCHS, _PLATEAU_GAIN = 6, 0.002
_OUT = 0.05  # below the lowest loss so far, the plateau is over
_STUCK = frozenset({"at-chance", "rising", "plateau"})
_STUCK_ADVICE = (
    "try --set optim.momentum=0.9 in a short run, --optimizer sgd with a larger --lr, or --positives "
    "instance; a small model such as mobilenetv3_small_100 shows within minutes whether the data works"
)
# A head begins as the identity, over features that tell marks apart before its first step.
_HEAD_STUCK = (
    "the features tell views of a mark no better than views of others: look at the views and marks with "
    "tmssl data, try --positives instance, or other --stages (`tmssl eval --features`)"
)
_LOWER_LR = "lower the LR to a third: tmssl train --resume --lr NEW"
_PLATEAU_ADVICE = {
    "cosine": _LOWER_LR,
    "wsd": "the decay lowers it; for an earlier one: tmssl train --resume --epochs N, with N nearer",
}
_NO_SCHEDULE = "lower the LR, or let a cosine lower it: tmssl train --resume --schedule cosine"


def progress(segment: Segment, loss: float) -> float | None:
    """How far a loss is on its way from chance (0) to solved (1); None without a chance level."""
    if segment.chance is None:
        return None
    return (segment.chance - loss) / _span(segment)


def _span(segment: Segment) -> float:
    """The loss at chance minus the loss of a perfect model, which is 0 where the journal has none."""
    return (segment.chance or 0.0) - (segment.solved or 0.0)


def warm_steps(segment: Segment) -> int:
    """Steps of the run's warm-up, which a journal may put beyond all bounds."""
    epochs = segment.figure("optim", "warmup_epochs") or 0.0
    return round(min(max(0.0, epochs) * segment.steps_per_epoch, _MOST_STEPS))


def _losses(epochs: list[Epoch]) -> list[tuple[Epoch, float]]:
    """Epochs whose loss is known."""
    return [(epoch, epoch.loss) for epoch in epochs if epoch.loss is not None]


def at_chance(segment: Segment, steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """The loss is still at chance well after the warm-up."""
    begin = max(segment.step, warm_steps(segment))
    last = bisect.bisect_left(steps, begin + _PATIENCE, key=lambda step: step.step)
    late = [s for s in steps[: last + 1] if s.step > begin + _PATIENCE // 2 and s.loss is not None]
    place: Step | Epoch
    if late and last < len(steps):
        mean, place = statistics.fmean(step.loss or 0.0 for step in late), late[-1]
    elif not steps:
        known = [(epoch, loss) for epoch, loss in _losses(epochs) if epoch.step > begin]
        # The mean of an epoch says little about its end, so the two epochs after it count as well.
        if not known or any((progress(segment, loss) or 0.0) >= AT_CHANCE for _, loss in known[:3]):
            return None
        place, mean = known[0]
    else:
        return None
    share = progress(segment, mean)
    if share is None or share >= AT_CHANCE:
        return None
    scale = "" if segment.chance == segment.chance_ce else "4 tau "
    formula = f"{scale}ln {segment.batch_size or '(number of keys)'}"
    return make_finding(
        place,
        "bad",
        "at-chance",
        f"loss {number(mean)} is chance level ({formula} = {number(segment.chance)}): the model has "
        "learned nothing so far",
        _HEAD_STUCK if segment.setting("model", "train") == "head" else _STUCK_ADVICE,
    )


def rising(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """The mean loss has risen above its minimum and stays there."""
    known = _losses(epochs)
    if len(known) < 4 or segment.chance is None:
        return None
    lowest = min(range(len(known)), key=lambda i: known[i][1])
    floor = known[lowest][1]
    begin = len(known)
    while begin > lowest + 1 and known[begin - 1][1] > floor + _RISE_BEGINS * segment.chance:
        begin -= 1
    beyond = max(_RISE_REACHES * segment.chance, _RISE_NOISES * _noise([loss for _, loss in known]))
    if len(known) - begin < 3 or known[-1][1] <= floor + beyond:
        return None
    first, (last, loss) = known[begin][0], known[-1]
    schedule = str(segment.setting("optim", "schedule"))
    return make_finding(
        last,
        "bad",
        "rising",
        f"loss is rising from epoch {first.epoch} on, {number(floor)} to {number(loss)}, "
        f"under {f'a {schedule}'.rstrip()} LR of {learning_rate(first.lr)}",
        "stop and resume with a schedule: tmssl train --resume --schedule cosine"
        if schedule == "constant"
        else _LOWER_LR,
    )


def _noise(losses: list[float]) -> float:
    """The noise between epochs: the median distance of their changes from the median change.

    The fewer changes there are, the less certain it is, and the more is added.
    """
    changes = [after - before for before, after in itertools.pairwise(losses)]
    middle = statistics.median(changes)
    spread = statistics.median(abs(change - middle) for change in changes)
    return spread * (1 + 4 / len(changes))


def plateau(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """The loss has left chance, then stopped falling while the LR is still high."""
    known = _losses(epochs)
    if len(known) <= _PLATEAU_EPOCHS or segment.chance is None:
        return None
    # The epochs of a segment that began late in a cosine lack the peak LR; the settings have it.
    configured = segment.figure("optim", "lr") or 0.0
    peak = max(configured, *(epoch.lr or 0.0 for epoch, _ in known))
    lowest = list(itertools.accumulate((loss for _, loss in known), min))
    for i in range(_PLATEAU_EPOCHS, len(known)):
        epoch, loss = known[i]
        before = lowest[i - _PLATEAU_EPOCHS]
        since = min(loss for _, loss in known[i - _PLATEAU_EPOCHS + 1 : i + 1])
        settled = (epoch.lr or 0.0) < peak / 2 or (progress(segment, loss) or 0.0) > 0.9
        away = (progress(segment, before) or 0.0) >= AT_CHANCE
        if away and not settled and since > before - _PLATEAU_GAIN * _span(segment):
            return make_finding(
                epoch,
                "warning",
                "plateau",
                f"loss has not fallen below {number(before)} for {_PLATEAU_EPOCHS} epochs, and the LR "
                "is still high",
                _PLATEAU_ADVICE.get(str(segment.setting("optim", "schedule")), _NO_SCHEDULE),
            )
    return None


def broke_out(
    history: History, segment: Segment, epochs: list[Epoch], findings: list[Finding]
) -> Finding | None:
    """The loss has fallen well below all earlier ones, after a finding that it was stuck."""
    out = max((finding.step for finding in findings if finding.code == "broke-out"), default=-1)
    stuck = [f.step for f in findings if f.code in _STUCK and f.step > out]
    if not stuck or not epochs or segment.chance is None:
        return None
    begin, floor, before = max(min(stuck), segment.step), math.inf, math.inf
    for epoch, loss in _losses(between(history.epochs, -1, epochs[-1].step)):
        of = history.segment_at(epoch.step)
        if of is None or of.chance != segment.chance:
            continue  # its loss has another scale
        if epoch.step > begin and loss < floor - _OUT * _span(segment) < math.inf:
            return make_finding(
                epoch,
                "good",
                "broke-out",
                f"broken out of the plateau: {number(max(before, floor))} before, {number(loss)} at "
                f"epoch {epoch.epoch} (chance {number(segment.chance)})",
                "continue, and evaluate every few epochs with `tmssl eval`",
            )
        if epoch.step <= begin or floor == math.inf:  # fixed from then on: a slow fall counts too
            floor = min(floor, loss)
        before = loss
    return None


def between(events: list[Epoch], start: int, end: int | None) -> list[Epoch]:
    """The events after step `start`, up to and including step `end`."""
    low = bisect.bisect_right(events, start, key=lambda event: event.step)
    high = len(events) if end is None else bisect.bisect_right(events, end, key=lambda e: e.step)
    return events[low:high]
