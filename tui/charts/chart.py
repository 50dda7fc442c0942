"""What the charts of a run show, as data: their series, chance levels, planned values and segment starts.

How a chart becomes terminal cells is in `render`.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tmssl.config import from_dict
from tmssl.errors import ConfigError
from tmssl.runs.eval_event import comparable
from tmssl.runs.events import Segment
from tmssl.runs.history import History
from tmssl.runs.main_figure import BEFORE, SPEAKING, MainFigure, at_length
from tmssl.runs.schedule import planned_learning_rate
from tmssl.text import number, safe
from tui.charts.curves import Curves, read_curves, smoothed
from tui.theme import RUN_COLOURS

if TYPE_CHECKING:
    from tmssl.types import Floats

    Numbers = Sequence[float] | Floats

_Points = list[tuple[float, float]]


@dataclasses.dataclass(frozen=True, eq=False)
class Series:
    """One curve: x ascends, y is NaN where there is a gap."""

    name: str
    x: "Numbers"
    y: "Numbers"
    colour: str
    dotted: bool = False
    marked: bool = False
    """whether every point gets a marker"""
    letter: str = ""
    """drawn at the last point, so that colour is not the only difference between runs"""


@dataclasses.dataclass(frozen=True, eq=False)
class Chart:
    """Everything that one chart shows."""

    title: str
    series: tuple[Series, ...]
    segment_starts: tuple[float, ...] = ()
    """x at which later segments begin"""
    log: bool = False
    nonfinite: "Numbers" = ()
    """x of the values that are not finite"""
    window: tuple[float, float] | None = None
    """the x range to show; all when None"""
    axis: str = ""
    """`epoch`, `step` or `time`"""
    empty: str = "nothing to draw yet"
    """text in place of the curves while there are none"""
    clipped: bool = False
    """whether the y axis covers the middle 98 % of the values only"""


def loss_chart(
    run: Curves | History,
    *,
    axis: str,
    weight: float,
    log: bool = False,
    others: Sequence[Curves] = (),
) -> Chart:
    """The loss, raw and smoothed, with the chance level of each segment; of several runs, smoothed.

    Args:
        run: the watched run.
        axis: `epoch`, `step` or `time`.
        weight: of the past in the smoothed curve, 0 to below 1.
        log: whether the vertical axis is logarithmic.
        others: runs to overlay.
    """
    curves = _curves_of(run)
    chart = metric_chart(curves, "loss", "loss", axis=axis, weight=weight, others=others)
    chance = _chance_series(curves, axis)
    series = (chance, *chart.series) if chance else chart.series
    return dataclasses.replace(chart, series=series, log=log)


def _curves_of(run: Curves | History) -> Curves:
    return run if isinstance(run, Curves) else read_curves(run)


def metric_chart(
    curves: Curves,
    title: str,
    field: str,
    *,
    axis: str,
    weight: float,
    others: Sequence[Curves] = (),
) -> Chart:
    """A field of the step events, raw and smoothed; of several runs, smoothed."""
    import numpy as np

    x, y = curves.x_on(axis), curves.columns[field]
    finite = np.isfinite(y)
    has_values = bool(finite.any())
    series: list[Series] = []
    if others:
        for i, run in enumerate((curves, *others)):
            smooth = smoothed(run.columns[field], weight, run.step)
            if np.isfinite(smooth).any():
                series.append(_run_series(i, run.name, run.x_on(axis), smooth))
    elif has_values and weight > 0:
        series.append(Series("raw", x, y, "gray"))
        series.append(Series("smoothed", x, smoothed(y, weight, curves.step), "cyan"))
    elif has_values:
        series.append(Series(title, x, y, "cyan"))
    nonfinite = x[~finite] if has_values else x[:0]
    starts = segment_starts(curves, axis)
    return Chart(title, tuple(series), starts, nonfinite=nonfinite, axis=axis)


def _run_series(
    index: int, name: str, x: "Numbers", y: "Numbers", *, marked: bool = False
) -> Series:
    """The series of one of several runs, with its letter and colour."""
    colour = RUN_COLOURS[index % len(RUN_COLOURS)]
    return Series(safe(name, 24), x, y, colour, marked=marked, letter=chr(ord("A") + index))


def _chance_series(curves: Curves, axis: str) -> Series | None:
    """The chance level of the loss; it changes where a resume changed it."""
    levels = [segment.chance for segment in curves.segments]
    x = curves.x_on(axis)
    if not len(x) or not levels or levels[-1] is None:
        return None
    ends = [float(x[0]), *segment_starts(curves, axis), float(x[-1])]
    xs = [end for pair in itertools.pairwise(ends) for end in pair]
    ys = [math.nan if level is None else level for level in levels for _ in (0, 1)]
    return Series(f"chance {number(levels[-1], 3)}", xs, ys, "reference", dotted=True)


def segment_starts(curves: Curves, axis: str) -> tuple[float, ...]:
    """The x at which the segments after the first begin."""
    later = curves.segments[1:]
    if axis == "time":
        t = curves.columns["t"]
        start = float(t[0]) if len(t) else later[0].t if later else 0.0
        return tuple((segment.t - start) / 3600 for segment in later)
    return tuple(s.epoch if axis == "epoch" else float(s.step) for s in later)


def learning_rate_chart(run: Curves | History, *, axis: str, count: int = 200) -> Chart:
    """The learning-rate schedule, past and planned.

    Args:
        run: the watched run.
        axis: `epoch`, `step` or `time`; the plan is known by epoch and step only.
        count: points of the plan.
    """
    import numpy as np

    curves = _curves_of(run)
    series = []
    if np.isfinite(curves.columns["lr"]).any():
        series.append(Series("past", curves.x_on(axis), curves.columns["lr"], "green"))
    segment = curves.segment
    if segment is not None and axis != "time":
        planned = planned_learning_rates(segment, curves.steps_done, count)
        if planned:
            scale = 1.0 / segment.steps_per_epoch if axis == "epoch" else 1.0
            xs = tuple(step * scale for step, _ in planned)
            series.append(
                Series("planned", xs, tuple(lr for _, lr in planned), "gold", dotted=True)
            )
    return Chart("learning rate", tuple(series), segment_starts(curves, axis), axis=axis)


def planned_learning_rates(segment: Segment, step: int, count: int) -> list[tuple[float, float]]:
    """(step, learning rate) at `count` places from a step to the end of a segment."""
    total = segment.epochs * segment.steps_per_epoch
    if step >= total:
        return []
    try:
        optim = from_dict(dict(segment.config)).optim
    except ConfigError:  # written by another version, or imported
        return []
    interval = (total - 1 - step) / max(1, count - 1)
    steps = sorted({round(step + interval * i) for i in range(count)})
    per_epoch, epochs = segment.steps_per_epoch, segment.epochs
    return [
        (float(s), planned_learning_rate(s, optim, steps_per_epoch=per_epoch, epochs=epochs))
        for s in steps
    ]


def evaluation_chart(run: Curves | History, others: Sequence[Curves] = ()) -> Chart:
    """hit@10 over figurative divisions by epoch, with its chance level and where the run began.

    Without such labels it shows the first figure that there is: all divisions, groups, or invariance@1.
    """
    curves = _curves_of(run)
    figure = next((f for f in SPEAKING if _evaluation_points(curves, f)[0]), SPEAKING[0])
    series: list[Series] = []
    for i, one_run in enumerate((curves, *others)):
        points, chance_points, start_points = _evaluation_points(one_run, figure)
        if points and i == 0:
            chance = _level(chance_points)
            series.append(Series("chance", *chance, "reference", dotted=True))
        if start_points and i == 0:
            began = _level(start_points)
            series.append(Series(BEFORE, *began, "reference", dotted=True, letter="0"))
        if points and others:
            series.append(_run_series(i, one_run.name, *_columns(points), marked=True))
        elif points:
            name = at_length(figure.short, figure.k)
            series.append(Series(name, *_columns(points), RUN_COLOURS[0], marked=True))
    title = figure.title(figure.k)
    return Chart(title, tuple(series), axis="epoch", empty="no evaluation yet; press e")


def _evaluation_points(curves: Curves, figure: MainFigure) -> tuple[_Points, _Points, _Points]:
    """(epoch, y) of the comparable evaluations that have a figure: its value, its chance, its beginning.

    The beginning is what it was before training, where an evaluation tells.
    """
    values, chances, starts = {}, {}, {}
    for event in comparable(curves.evals, figure.metric):
        score = figure.score(event)
        if score is not None and score.value is not None:
            values[event.epoch] = score.value  # the later of two at one epoch
            chances[event.epoch] = score.chance or 0.0
            if (start := score.references.get(BEFORE)) is not None:
                starts[event.epoch] = start
    return list(values.items()), list(chances.items()), list(starts.items())


def _level(points: _Points) -> tuple[list[float], list[float]]:
    """The x and the y of a level; from the first epoch on where it has one point, which no dotted line shows."""
    if len(points) > 1:
        return _columns(points)
    ((x, y),) = points
    return [0.0, x or 1.0], [y, y]


def _columns(points: _Points) -> tuple[list[float], list[float]]:
    """The x and the y of points in order of x."""
    points = sorted(points)
    return [x for x, _ in points], [y for _, y in points]
