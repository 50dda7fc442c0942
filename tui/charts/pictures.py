"""A run's curves as pictures: raw and smoothed, with chance levels, what is planned, and where segments begin."""

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
from tmssl.runs.main_figure import SPEAKING, MainFigure, at_length
from tmssl.runs.schedule import planned_learning_rate
from tmssl.text import number, safe
from tui.charts.curves import Curves, read_curves, smoothed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = Sequence[float] | npt.NDArray[np.float64]

RUN_COLOURS = ("cyan", "orange", "green", "magenta", "gold", "red")
"""of runs that lie over each other; the first is the one that is watched"""


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """One curve: x ascending, y NaN where there is a gap."""

    name: str
    x: "Numbers"
    y: "Numbers"
    colour: str
    dotted: bool = False
    marked: bool = False
    """whether every point is worth a mark of its own"""
    letter: str = ""
    """put at its end, so that colour is not all that tells it from others"""


@dataclasses.dataclass(frozen=True, eq=False)
class Picture:
    """Everything one chart shows."""

    title: str
    lines: tuple[Line, ...]
    boundaries: tuple[float, ...] = ()
    """x at which segments begin"""
    log: bool = False
    gaps: int = 0
    """points that were not finite"""
    holes: "Numbers" = ()
    """where these are"""
    window: tuple[float, float] | None = None
    """the x that are shown, all when None"""
    axis: str = ""
    empty: str = "nothing to draw yet"
    """what stands in place of the lines while there are none"""
    clipped: bool = False
    """whether the y that are rare may lie beyond the border"""


def loss_picture(
    told: Curves | History,
    *,
    axis: str,
    weight: float,
    log: bool = False,
    others: Sequence[Curves] = (),
) -> Picture:
    """The loss, raw and smoothed, with the chance level of each segment; of several runs, smoothed.

    Args:
        told: a run.
        axis: `epoch`, `step` or `time`.
        weight: of the past in the smoothed curve, 0 to below 1.
        log: whether the vertical axis is logarithmic.
        others: runs to lay over it.
    """
    curves = told if isinstance(told, Curves) else read_curves(told)
    picture = figure_picture(curves, "loss", "loss", axis=axis, weight=weight, others=others)
    chance = _chance_line(curves, axis)
    lines = (chance, *picture.lines) if chance else picture.lines
    return dataclasses.replace(picture, lines=lines, log=log)


def figure_picture(
    curves: Curves,
    title: str,
    figure: str,
    *,
    axis: str,
    weight: float,
    others: Sequence[Curves] = (),
) -> Picture:
    """One figure over the steps, raw and smoothed; of several runs, smoothed."""
    import numpy as np

    x, y = curves.across(axis), curves.figures[figure]
    known = np.isfinite(y)
    holes = x[~known] if known.any() else x[:0]
    lines: list[Line] = []
    if not known.any():
        pass
    elif others:
        lines.append(
            Line(safe(curves.name, 24), x, smoothed(y, weight), RUN_COLOURS[0], letter="A")
        )
    else:
        lines.append(Line("raw" if weight > 0 else title, x, y, "gray" if weight > 0 else "cyan"))
        if weight > 0:
            lines.append(Line("smoothed", x, smoothed(y, weight), "cyan"))
    for place, other in enumerate(others, 1):
        smooth = smoothed(other.figures[figure], weight)
        if np.isfinite(smooth).any():
            colour = RUN_COLOURS[place % len(RUN_COLOURS)]
            lines.append(
                Line(
                    safe(other.name, 24), other.across(axis), smooth, colour, letter=chr(65 + place)
                )
            )
    return Picture(
        title, tuple(lines), boundaries(curves, axis), gaps=len(holes), holes=holes, axis=axis
    )


def _chance_line(curves: Curves, axis: str) -> Line | None:
    """The chance level of the loss, a step where a resume has changed it."""
    levels = [segment.chance for segment in curves.segments]
    x = curves.across(axis)
    if not len(x) or not levels or levels[-1] is None:
        return None
    places = [float(x[0]), *boundaries(curves, axis), float(x[-1])]
    across = [place for pair in itertools.pairwise(places) for place in pair]
    up = [math.nan if level is None else level for level in levels for _ in (0, 1)]
    return Line(f"chance {number(levels[-1], 3)}", across, up, "red", dotted=True)


def boundaries(curves: Curves, axis: str) -> tuple[float, ...]:
    """Places at which later segments begin."""
    later = curves.segments[1:]
    if axis == "time":
        t = curves.figures["t"]
        begun = float(t[0]) if len(t) else later[0].t if later else 0.0
        return tuple((segment.t - begun) / 3600 for segment in later)
    return tuple(s.epoch if axis == "epoch" else float(s.step) for s in later)


def rate_picture(told: Curves | History, *, axis: str, count: int = 200) -> Picture:
    """The learning rate: what was, and dotted what is planned to the end.

    Args:
        told: a run.
        axis: `epoch`, `step` or `time`; the plan is known by epoch and step only.
        count: points of the plan.
    """
    import numpy as np

    curves = told if isinstance(told, Curves) else read_curves(told)
    lines = []
    if np.isfinite(curves.figures["lr"]).any():
        lines.append(Line("past", curves.across(axis), curves.figures["lr"], "green"))
    segment = curves.segment
    if segment is not None and axis != "time":
        ahead = planned_points(segment, curves.done, count)
        if ahead:
            scale = 1.0 / segment.steps_per_epoch if axis == "epoch" else 1.0
            xs = tuple(step * scale for step, _ in ahead)
            lines.append(Line("planned", xs, tuple(lr for _, lr in ahead), "gold", dotted=True))
    return Picture("learning rate", tuple(lines), boundaries(curves, axis), axis=axis)


def planned_points(segment: Segment, step: int, count: int) -> list[tuple[float, float]]:
    """(step, LR) from a step to the end of a segment, by the closed form."""
    total = segment.epochs * segment.steps_per_epoch
    if step >= total:
        return []
    try:
        config = from_dict(dict(segment.config))
    except ConfigError:  # written by another version, or imported
        return []
    apart = (total - 1 - step) / max(1, count - 1)
    return [
        (
            float(at),
            planned_learning_rate(
                at, config.optim, steps_per_epoch=segment.steps_per_epoch, epochs=segment.epochs
            ),
        )
        for at in sorted({round(step + apart * i) for i in range(count)})
    ]


def evaluation_picture(told: Curves | History, others: Sequence[Curves] = ()) -> Picture:
    """hit@10 over figurative divisions by epoch, with chance; of several runs, each with a letter.

    Without such codes it is what the labels allow: groups, or invariance@1.
    """
    runs = [told if isinstance(told, Curves) else read_curves(told), *others]
    lines: list[Line] = []
    figure = next((one for one in SPEAKING if _figures(runs[0], one)[0]), SPEAKING[0])
    for place, curves in enumerate(runs):
        points, levels = _figures(curves, figure)
        if points and not place:
            lines.append(Line("chance", *_columns(levels), "red", dotted=True))
        if points:
            name = safe(curves.name, 24) if others else at_length(figure.short, figure.k)
            letter = chr(65 + place) if others else ""
            colour = RUN_COLOURS[place % len(RUN_COLOURS)]
            lines.append(Line(name, *_columns(points), colour, marked=True, letter=letter))
    title = figure.title(figure.k)
    return Picture(title, tuple(lines), axis="epoch", empty="no evaluation yet; press e")


def _figures(
    curves: Curves, figure: MainFigure
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(epoch, value) and (epoch, chance) of the comparable evaluations that have the figure."""
    points, levels = {}, {}
    for event in comparable(curves.evals, figure.metric):
        score = figure.score(event)
        if score is not None and score.value is not None:
            points[event.epoch] = score.value  # the later of two of one epoch
            levels[event.epoch] = score.chance or 0.0
    return list(points.items()), list(levels.items())


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    ordered = sorted(points)
    return [x for x, _ in ordered], [y for _, y in ordered]
