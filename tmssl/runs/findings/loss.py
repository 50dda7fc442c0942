"""What the losses of a run show: whether it is at chance, rising, on a plateau, or out of it.

A loss is judged by where it lies between chance and a perfect model, never by its size: at
temperature 0.2 with 1,024 keys chance is 5.55, at temperature 1 with 4,096 it is 33.27.
"""

import bisect
import itertools
import math
import statistics

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.history import History
from tmssl.runs.steps import Steps
from tmssl.text import learning_rate, number

AT_CHANCE = 0.02  # share of the way from chance to solved below which nothing has been learnt
_PATIENCE = 200  # steps after warm-up before chance is called chance
_RISE_FROM, _RISE_TO = (
    0.003,
    0.012,
)  # of chance: a rise begins, and is beyond the noise of short epochs
_RISE_NOISES = (
    5  # times the noise between epochs; the lowest of ten lies 1.5 deviations below their mean
)
_PLATEAU_EPOCHS, _PLATEAU_GAIN = 6, 0.002
_OUT = 0.05  # of the way to solved, below the lowest loss so far: the plateau is behind
_STUCK = frozenset({"at-chance", "rising", "plateau"})


def progress(segment: Segment, loss: float) -> float | None:
    """Where a loss lies on the way from chance (0) to solved (1); None without a chance level."""
    if segment.chance is None:
        return None
    return (segment.chance - loss) / _way(segment)


def _way(segment: Segment) -> float:
    """The way from chance to solved: the whole of the loss when nothing says what solved is."""
    return (segment.chance or 0.0) - (segment.solved or 0.0)


def warm_steps(segment: Segment) -> int:
    """Step at which the run's warm-up is over."""
    optim = segment.config.get("optim")
    epochs = optim.get("warmup_epochs", 0) if isinstance(optim, dict) else 0
    return round(float(epochs) * segment.steps_per_epoch)


def setting(segment: Segment, section: str, name: str) -> object:
    """A setting of a segment, or an empty string where the journal does not say."""
    settings = segment.config.get(section)
    return settings.get(name, "") if isinstance(settings, dict) else ""


def _losses(epochs: list[Epoch]) -> list[tuple[Epoch, float]]:
    """Epochs whose loss is known."""
    return [(epoch, epoch.loss) for epoch in epochs if epoch.loss is not None]


def at_chance(segment: Segment, steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """Nothing learnt well after the warm-up."""
    begin = max(segment.step, warm_steps(segment))
    last = bisect.bisect_left(steps, begin + _PATIENCE, key=lambda step: step.step)
    late = [s for s in steps[: last + 1] if s.step > begin + _PATIENCE // 2 and s.loss is not None]
    if late and last < len(steps):
        mean = statistics.fmean(step.loss or 0.0 for step in late)
        where, at = late[-1].step, late[-1].epoch
    elif not steps:
        known = [(epoch, loss) for epoch, loss in _losses(epochs) if epoch.step > begin]
        # A whole epoch's mean hides where it ended, so the two after it have a say.
        if not known or any((progress(segment, loss) or 0.0) >= AT_CHANCE for _, loss in known[:3]):
            return None
        mean, where, at = known[0][1], known[0][0].step, float(known[0][0].epoch)
    else:
        return None
    learnt = progress(segment, mean)
    if learnt is None or learnt >= AT_CHANCE:
        return None
    keys = f"ln {segment.batch_size}" if segment.batch_size else "the log of the number of keys"
    if segment.chance != segment.chance_ce:
        keys += " nats scaled by the temperature"
    return Finding(
        code="at-chance",
        level="bad",
        step=where,
        epoch=at,
        text=f"loss {number(mean)} is chance ({number(segment.chance)}, {keys}): a model that knows "
        "nothing, not a slow one",
        advice="try --set optim.momentum=0.9 in runs of few steps, --optimizer sgd with a larger --lr, "
        "or --positives instance; a small model such as mobilenetv3_small_100 shows within minutes whether the data works",
    )


def rising(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """The mean loss has left its minimum upwards and stays away from it."""
    known = _losses(epochs)
    if len(known) < 4 or segment.chance is None:
        return None
    lowest = min(range(len(known)), key=lambda i: known[i][1])
    floor = known[lowest][1]
    begin = len(known)
    while begin > lowest + 1 and known[begin - 1][1] > floor + _RISE_FROM * segment.chance:
        begin -= 1
    beyond = max(_RISE_TO * segment.chance, _RISE_NOISES * _noise([loss for _, loss in known]))
    if len(known) - begin < 3 or known[-1][1] <= floor + beyond:
        return None
    first, schedule = known[begin][0], setting(segment, "optim", "schedule")
    constant = schedule == "constant"
    return Finding(
        code="rising",
        level="bad",
        step=known[-1][0].step,
        epoch=float(known[-1][0].epoch),
        text=f"loss is rising from epoch {first.epoch} on: {number(floor)} to {number(known[-1][1])} "
        f"under {'a constant' if constant else f'a {schedule}'.rstrip()} LR of {learning_rate(first.lr)}",
        advice="stop and go on with a schedule: tmssl train --resume --schedule cosine"
        if constant
        else "lower the LR: tmssl train --resume --lr with a third of it",
    )


def _noise(losses: list[float]) -> float:
    """What epochs differ by that are otherwise alike: the median distance from the median change.

    Few changes tell little of their spread, so the less there are the more is granted.
    """
    changes = [after - before for before, after in itertools.pairwise(losses)]
    middle = statistics.median(changes)
    spread = statistics.median(abs(change - middle) for change in changes)
    return spread * (1 + 4 / len(changes))


def plateau(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """Left chance, then stopped improving while the LR is still high."""
    known = _losses(epochs)
    if len(known) <= _PLATEAU_EPOCHS or segment.chance is None:
        return None
    # A segment that began late in a cosine never saw the peak; the settings know it.
    configured, schedule = (setting(segment, "optim", name) for name in ("lr", "schedule"))
    peak = max(epoch.lr or 0.0 for epoch, _ in known)
    peak = max(peak, configured) if isinstance(configured, float) else peak
    for i in range(_PLATEAU_EPOCHS, len(known)):
        epoch, loss = known[i]
        before = min(loss for _, loss in known[: i - _PLATEAU_EPOCHS + 1])
        since = min(loss for _, loss in known[i - _PLATEAU_EPOCHS + 1 : i + 1])
        settled = (epoch.lr or 0.0) < peak / 2 or (progress(segment, loss) or 0.0) > 0.9
        away = (progress(segment, before) or 0.0) >= AT_CHANCE
        if away and not settled and since > before - _PLATEAU_GAIN * _way(segment):
            return Finding(
                code="plateau",
                level="warning",
                step=epoch.step,
                epoch=float(epoch.epoch),
                text=f"loss has not improved on {number(before)} for {_PLATEAU_EPOCHS} epochs",
                advice="lower the LR: tmssl train --resume --lr with a third of it"
                if schedule == "cosine"
                else "lower the LR or let a cosine do it: tmssl train --resume --schedule cosine",
            )
    return None


def broke_out(
    history: History, segment: Segment, epochs: list[Epoch], findings: list[Finding]
) -> Finding | None:
    """The loss fell well below everything before it, after being stuck."""
    out = max((finding.step for finding in findings if finding.code == "broke-out"), default=-1)
    stuck = [f.step for f in findings if f.code in _STUCK and f.step > out]
    if not stuck or not epochs or segment.chance is None:
        return None
    begin, floor, before = max(min(stuck), segment.step), math.inf, math.inf
    for epoch, loss in _losses(between(history.epochs, -1, epochs[-1].step)):
        of = history.segment_at(epoch.step)
        if of is None or of.chance != segment.chance:
            continue  # a loss of another scale
        if epoch.step > begin and loss < floor - _OUT * _way(segment) < math.inf:
            return Finding(
                code="broke-out",
                level="good",
                step=epoch.step,
                epoch=float(epoch.epoch),
                text=f"broken out of the plateau: {number(max(before, floor))} before, {number(loss)} at "
                f"epoch {epoch.epoch} (chance {number(segment.chance)})",
                advice="go on; evaluate every few epochs with `tmssl eval`",
            )
        if epoch.step <= begin or floor == math.inf:  # it stays, so that a slow fall counts as well
            floor = min(floor, loss)
        before = loss
    return None


def between(events: list[Epoch], start: int, end: int | None) -> list[Epoch]:
    """The events after step `start`, up to and including step `end`."""
    low = bisect.bisect_right(events, start, key=lambda event: event.step)
    high = len(events) if end is None else bisect.bisect_right(events, end, key=lambda e: e.step)
    return events[low:high]
