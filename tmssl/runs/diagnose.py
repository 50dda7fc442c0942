"""What a journal shows that a person should know, with one line of advice each.

A loss is judged by where it lies between chance and a perfect model, never by its size: at
temperature 0.2 with 1,024 keys chance is 5.55, at temperature 1 with 4,096 it is 33.27.
"""

import bisect
import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

from tmssl.runs.columns import Steps
from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.history import History
from tmssl.text import learning_rate, number, rate

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
_COLLAPSED, _STARVING, _JUMP = 0.1, 0.10, 2.0
_NOISY = 0.8  # of the partners are no more alike than random pairs
_FEW_PARTNERS = 0.5
_STUCK = frozenset({"at-chance", "rising", "plateau"})


def diagnose(history: History) -> list[Finding]:
    """All findings of a history, each at most once in a segment, in order of step."""
    found: list[Finding] = []
    for index in range(len(history.segments)):
        found += _of_segment(history, index, found)
    return sorted(found, key=lambda finding: finding.step)


def new_findings(history: History) -> list[Finding]:
    """Findings of the segment in force that the journal does not hold yet.

    Looks at that segment alone, so calling it often costs little in a long history.
    """
    if not history.segments:
        return []
    current = len(history.segments) - 1
    start, own = history.segments[current].step, history.findings[history.first_finding :]
    earlier = [f for f in history.findings[: history.first_finding] if f.step <= start]
    known = {finding.code for finding in own}
    found = _of_segment(history, current, [*earlier, *own])
    return [finding for finding in found if finding.code not in known]


def _of_segment(history: History, index: int, earlier: list[Finding]) -> list[Finding]:
    """The findings of one segment."""
    segment = history.segments[index]
    after = min((later.step for later in history.segments[index + 1 :]), default=None)
    steps = history.steps.between(segment.step, after)
    epochs = _between(history.epochs, segment.step, after)
    found = []
    checks: list[Callable[[Segment, Steps, list[Epoch]], Finding | None]] = [
        _lr_jump, _at_chance, _rising, _plateau, _collapse, _starving, _non_finite,
    ]  # fmt: skip
    for check in checks:
        finding = check(segment, steps, epochs)
        if finding is not None:
            found.append(finding)
    found += _positives(history, segment)
    out = _broke_out(history, segment, epochs, [*earlier, *found])
    return [*found, out] if out else found


def _between(events: list[Epoch], start: int, end: int | None) -> list[Epoch]:
    """The events after step `start`, up to and including step `end`."""
    low = bisect.bisect_right(events, start, key=lambda event: event.step)
    high = len(events) if end is None else bisect.bisect_right(events, end, key=lambda e: e.step)
    return events[low:high]


def progress(segment: Segment, loss: float) -> float | None:
    """Where a loss lies on the way from chance (0) to solved (1); None without a chance level."""
    if segment.chance is None:
        return None
    return (segment.chance - loss) / _way(segment)


def _way(segment: Segment) -> float:
    """The way from chance to solved: the whole of the loss when nothing says what solved is."""
    return (segment.chance or 0.0) - (segment.solved or 0.0)


def _warm_steps(segment: Segment) -> int:
    """Step at which the run's warm-up is over."""
    optim = segment.config.get("optim")
    epochs = optim.get("warmup_epochs", 0) if isinstance(optim, dict) else 0
    return round(float(epochs) * segment.steps_per_epoch)


def _setting(segment: Segment, section: str, name: str) -> object:
    """A setting of a segment, or an empty string where the journal does not say."""
    settings = segment.config.get(section)
    return settings.get(name, "") if isinstance(settings, dict) else ""


def _losses(epochs: list[Epoch]) -> list[tuple[Epoch, float]]:
    """Epochs whose loss is known."""
    return [(epoch, epoch.loss) for epoch in epochs if epoch.loss is not None]


def _at_chance(segment: Segment, steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """Nothing learnt well after the warm-up."""
    begin = max(segment.step, _warm_steps(segment))
    last = bisect.bisect_left(steps, begin + _PATIENCE, key=lambda step: step.step)
    late = [s for s in steps[: last + 1] if s.step > begin + _PATIENCE // 2 and s.loss is not None]
    if late and last < len(steps):
        mean = statistics.fmean(step.loss or 0.0 for step in late)
        where, at = late[-1].step, late[-1].epoch
    elif not steps:
        known = [(epoch, loss) for epoch, loss in _losses(epochs) if epoch.step > begin]
        if not known:
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
        code="at-chance", level="bad", step=where, epoch=at,
        text=f"loss {number(mean)} is chance ({number(segment.chance)}, {keys}): a model that knows "
        "nothing, not a slow one",
        advice="try --set optim.momentum=0.9 in runs of few steps, --optimizer sgd with a larger --lr, "
        "or --positives instance; a small model such as mobilenetv3_small_100 shows within minutes whether the data works",
    )  # fmt: skip


def _rising(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
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
    first, schedule = known[begin][0], _setting(segment, "optim", "schedule")
    constant = schedule == "constant"
    return Finding(
        code="rising", level="bad", step=known[-1][0].step, epoch=float(known[-1][0].epoch),
        text=f"loss is rising from epoch {first.epoch} on: {number(floor)} to {number(known[-1][1])} "
        f"under {'a constant' if constant else f'a {schedule}'.rstrip()} LR of {learning_rate(first.lr)}",
        advice="stop and go on with a schedule: tmssl train --resume --schedule cosine"
        if constant
        else "lower the LR: tmssl train --resume --lr with a third of it",
    )  # fmt: skip


def _noise(losses: list[float]) -> float:
    """What epochs differ by that are otherwise alike: the median distance from the median change.

    Few changes tell little of their spread, so the less there are the more is granted.
    """
    changes = [after - before for before, after in itertools.pairwise(losses)]
    middle = statistics.median(changes)
    spread = statistics.median(abs(change - middle) for change in changes)
    return spread * (1 + 4 / len(changes))


def _plateau(segment: Segment, _steps: Steps, epochs: list[Epoch]) -> Finding | None:
    """Left chance, then stopped improving while the LR is still high."""
    known = _losses(epochs)
    if len(known) <= _PLATEAU_EPOCHS or segment.chance is None:
        return None
    # A segment that began late in a cosine never saw the peak; the settings know it.
    configured, schedule = (_setting(segment, "optim", name) for name in ("lr", "schedule"))
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
                code="plateau", level="warning", step=epoch.step, epoch=float(epoch.epoch),
                text=f"loss has not improved on {number(before)} for {_PLATEAU_EPOCHS} epochs",
                advice="lower the LR: tmssl train --resume --lr with a third of it"
                if schedule == "cosine"
                else "lower the LR or let a cosine do it: tmssl train --resume --schedule cosine",
            )  # fmt: skip
    return None


def _collapse(segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """All marks land on one point."""
    streak = 0
    begin = bisect.bisect_left(steps.numbers, _warm_steps(segment))
    for place, spread in enumerate(steps.column("feature_std")[begin:], begin):
        streak = streak + 1 if spread < _COLLAPSED else 0  # NaN is not below anything
        if streak == 5:
            step = steps[place]
            return Finding(
                code="collapse", level="bad", step=step.step, epoch=step.epoch,
                text=f"features have collapsed: spread {number(step.feature_std, 2)}, where 1 is healthy",
                advice="lower --lr, lengthen --warmup-epochs, or go back to an earlier checkpoint",
            )  # fmt: skip
    return None


def _starving(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The device waits for data."""
    timed = [s for s in steps[-20:] if s.data_s is not None and s.step_s]
    if len(timed) < 10:
        return None
    share = statistics.median((s.data_s or 0.0) / (s.step_s or 1.0) for s in timed)
    if share <= _STARVING:
        return None
    return Finding(
        code="starving", level="warning", step=timed[-1].step, epoch=timed[-1].epoch,
        text=f"each step waits {rate(share)} of its time for data",
        advice="put the pack (TMSSL_CACHE) on a local disk, and close what else uses the cores",
    )  # fmt: skip


def _non_finite(_segment: Segment, steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """A loss that is NaN or infinite."""
    for place, loss in enumerate(steps.column("loss")):
        if math.isnan(loss):
            step = steps[place]
            return Finding(
                code="non-finite", level="bad", step=step.step, epoch=step.epoch,
                text=f"the loss is not a finite number at step {step.step}",
                advice="lower --lr, lengthen --warmup-epochs, or use --precision float32",
            )  # fmt: skip
    return None


def _positives(history: History, segment: Segment) -> list[Finding]:
    """Marks that share a code look hardly more alike than marks drawn at random, or few share one."""
    told = [event for event in history.positives if event.segment == segment.number]
    if not told:
        return []
    event, found = told[-1], []
    where: Any = {"level": "warning", "step": segment.step + 1, "epoch": segment.epoch}
    if event.with_partner is not None and event.with_partner < _FEW_PARTNERS:
        found.append(
            Finding(
                code="few-partners", text=f"only {rate(event.with_partner)} of the marks share a "
                f"{event.level} with another; the rest are their own positive",
                advice="a coarser --vienna-level gives more of them a partner", **where,
            )
        )  # fmt: skip
    if event.noise is not None and event.noise > _NOISY:
        found.append(
            Finding(
                code="noisy-positives",
                text=f"marks that share a {event.level} look hardly more alike than random ones: "
                f"told apart {rate(event.encoder_auc)} of the time by the encoder, "
                f"{rate(event.hash_auc)} by a perceptual hash, where a guess is right 50 %",
                advice="such positives teach noise: --positives instance, or mixed with a small "
                "--vienna-share, or a finer --vienna-level", **where,
            )
        )  # fmt: skip
    return found


def _lr_jump(segment: Segment, _steps: Steps, _epochs: list[Epoch]) -> Finding | None:
    """The LR changed by more than a factor of two at a resume."""
    before, after = segment.lr_before, segment.lr_after
    if not before or not after or 1 / _JUMP <= after / before <= _JUMP:
        return None
    return Finding(
        code="lr-jump", level="warning", step=segment.step + 1, epoch=segment.epoch,
        text=f"the LR went from {learning_rate(before)} to {learning_rate(after)} "
        f"(x{number(after / before, 3)}) at a resume",
        advice="if that was not meant, resume with the old --lr; --rewarm-steps 500 spreads a jump",
    )  # fmt: skip


def _broke_out(
    history: History, segment: Segment, epochs: list[Epoch], findings: list[Finding]
) -> Finding | None:
    """The loss fell well below everything before it, after being stuck."""
    out = max((finding.step for finding in findings if finding.code == "broke-out"), default=-1)
    stuck = [f.step for f in findings if f.code in _STUCK and f.step > out]
    if not stuck or not epochs or segment.chance is None:
        return None
    begin, floor, before = min(stuck), math.inf, math.inf
    for epoch, loss in _losses(_between(history.epochs, -1, epochs[-1].step)):
        if epoch.step > max(begin, segment.step) and loss < floor - _OUT * _way(segment) < math.inf:
            return Finding(
                code="broke-out", level="good", step=epoch.step, epoch=float(epoch.epoch),
                text=f"broken out of the plateau: {number(before)} before, {number(loss)} at "
                f"epoch {epoch.epoch} (chance {number(segment.chance)})",
                advice="go on; evaluate every few epochs with `tmssl eval`",
            )  # fmt: skip
        floor, before = min(floor, loss), loss
    return None
