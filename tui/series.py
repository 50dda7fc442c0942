"""A history as lines to draw: smoothed, thinned out, with its chance level and what is planned."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from tmssl.config import from_dict
from tmssl.errors import ConfigError
from tmssl.runs.events import Segment, Step
from tmssl.runs.history import History
from tmssl.training.schedule import planned_learning_rate

AXES = ("step", "epoch", "time")


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve: finite points in order of x."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: str
    dotted: bool = False


@dataclasses.dataclass(frozen=True)
class Picture:
    """Everything one chart shows."""

    title: str
    lines: tuple[Line, ...]
    boundaries: tuple[float, ...] = ()
    """x at which segments begin"""
    log: bool = False
    gaps: int = 0
    """points that were not finite"""


def position(step: Step, axis: str, begun: float) -> float:
    """Where a step lies on an axis: steps, epochs, or hours since the run began."""
    if axis == "epoch":
        return step.epoch
    return (step.t - begun) / 3600 if axis == "time" else float(step.step)


def smoothed(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average with its start corrected for bias, as in Adam.

    `weight` is the share of the past, 0 (raw) to below 1.
    """
    result, mean = [], 0.0
    for count, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        result.append(mean / (1 - weight**count))
    return result


def thinned(
    x: Sequence[float], y: Sequence[float], buckets: int
) -> tuple[list[float], list[float]]:
    """First, lowest, highest and last point of each bucket along x: no spike is lost (M4).

    Jugel et al. 2014. Points are in order of x.
    """
    if len(x) <= 4 * buckets or x[-1] <= x[0]:
        return list(x), list(y)
    width = (x[-1] - x[0]) / buckets
    kept: list[int] = []
    begin = 0
    while begin < len(x):
        bucket = math.floor((x[begin] - x[0]) / width)
        end = begin
        while end < len(x) and math.floor((x[end] - x[0]) / width) == bucket:
            end += 1
        inside = range(begin, end)
        low, high = min(inside, key=y.__getitem__), max(inside, key=y.__getitem__)
        kept += sorted({begin, low, high, end - 1})
        begin = end
    return [x[i] for i in kept], [y[i] for i in kept]


def curve(
    history: History, value: Callable[[Step], float | None], axis: str
) -> tuple[list[float], list[float], int]:
    """Points of the steps at which a figure is finite, and how many it is not."""
    begun = history.steps[0].t if history.steps else 0.0
    points = [(position(step, axis, begun), value(step)) for step in history.points]
    finite = [(x, y) for x, y in points if y is not None and math.isfinite(y) and math.isfinite(x)]
    return [x for x, _ in finite], [y for _, y in finite], len(points) - len(finite)


def boundaries(history: History, axis: str) -> tuple[float, ...]:
    """Places at which later segments begin."""
    places = []
    for segment in history.segments[1:]:
        if axis == "time":
            begun = history.steps[0].t if history.steps else segment.t
            places.append((segment.t - begun) / 3600)
        else:
            places.append(segment.epoch if axis == "epoch" else float(segment.step))
    return tuple(places)


def loss_picture(history: History, *, axis: str, weight: float, log: bool, buckets: int) -> Picture:
    """The loss, raw and smoothed, with the chance level of each segment."""
    x, y, gaps = curve(history, lambda step: step.loss, axis)
    lines = []
    if x:
        lines.append(Line("raw", *_frozen(thinned(x, y, buckets)), "gray"))
        if weight > 0 and len(x) > 1:
            smooth = smoothed(y, weight)
            lines.append(Line("smoothed", *_frozen(thinned(x, smooth, buckets)), "cyan"))
        chance = history.segments[-1].chance if history.segments else None
        if chance is not None:
            places = _even(x[0], max(x[-1], x[0] + 1e-9), buckets)
            level = tuple(chance for _ in places)
            lines.append(Line(f"chance {chance:.4g}", places, level, "red", dotted=True))
    return Picture("loss", tuple(lines), boundaries(history, axis), log, gaps)


def simple_picture(
    history: History, title: str, value: Callable[[Step], float | None], *, axis: str,
    weight: float, buckets: int,
) -> Picture:  # fmt: skip
    """One figure over the steps, smoothed."""
    x, y, gaps = curve(history, value, axis)
    smooth = smoothed(y, weight) if weight > 0 else y
    lines = (Line(title, *_frozen(thinned(x, smooth, buckets)), "cyan"),) if x else ()
    return Picture(title, lines, boundaries(history, axis), gaps=gaps)


def rate_picture(history: History, *, axis: str, buckets: int) -> Picture:
    """The learning rate: what was, and dotted what is planned to the end."""
    x, y, _ = curve(history, lambda step: step.lr, axis)
    lines = [Line("past", *_frozen(thinned(x, y, buckets)), "green")] if x else []
    segment = history.segment
    if segment is not None and axis != "time":
        ahead = planned_points(segment, history.step, buckets)
        if ahead:
            scale = 1.0 / segment.steps_per_epoch if axis == "epoch" else 1.0
            xs = tuple(step * scale for step, _ in ahead)
            lines.append(Line("planned", xs, tuple(lr for _, lr in ahead), "yellow", dotted=True))
    return Picture("learning rate", tuple(lines), boundaries(history, axis))


def planned_points(segment: Segment, step: int, count: int) -> list[tuple[float, float]]:
    """(step, LR) from a step to the end of a segment, by the closed form."""
    total = segment.epochs * segment.steps_per_epoch
    if step >= total:
        return []
    try:
        config = from_dict(dict(segment.config))
    except ConfigError:  # written by another version, or imported
        return []
    steps = sorted({round(place) for place in _even(step, total - 1, count)})
    return [
        (
            float(at),
            planned_learning_rate(
                at, config.optim, steps_per_epoch=segment.steps_per_epoch, epochs=segment.epochs
            ),
        )
        for at in steps
    ]


def marked(picture: Picture, history: History, step: int, axis: str) -> Picture:
    """A picture with a stroke at the logged step nearest to one."""
    near = history.nearest(step)
    if near is None:
        return picture
    place = position(near, axis, history.steps[0].t if history.steps else 0.0)
    return dataclasses.replace(picture, boundaries=(*picture.boundaries, place))


def evaluation_picture(history: History) -> Picture:
    """hit@10 over figurative divisions by epoch, with chance."""
    points, levels = [], []
    for event in history.evals:
        for score in event.scores:
            key = (score.metric, score.level, score.codes, score.k)
            if key == ("hit", "division", "figurative", 10) and score.value is not None:
                points.append((event.epoch, score.value))
                levels.append((event.epoch, score.chance or 0.0))
    lines: tuple[Line, ...] = ()
    if points:
        lines = (
            Line("hit@10", *_frozen(_columns(points)), "cyan"),
            Line("chance", *_frozen(_columns(levels)), "red", dotted=True),
        )
    return Picture("division hit@10, figurative", lines)


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    ordered = sorted(points)
    return [x for x, _ in ordered], [y for _, y in ordered]


def _frozen(
    points: tuple[Sequence[float], Sequence[float]],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(points[0]), tuple(points[1])


def _even(low: float, high: float, count: int) -> tuple[float, ...]:
    """`count` places from low to high."""
    count = max(2, count)
    return tuple(low + (high - low) * i / (count - 1) for i in range(count))
