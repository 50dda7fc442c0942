"""Whether the evaluations of a run say that it has stopped improving, by its journal alone."""

import dataclasses
from pathlib import Path

from tmssl.runs.checkpoints import FOR_EVALUATION
from tmssl.runs.eval_event import Eval
from tmssl.runs.history import History
from tmssl.runs.main_figure import Judgement, judge
from tmssl.stop_when import StopWhen
from tmssl.text import number

_SHOWN = 12  # evaluations in a sentence


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What the evaluations of a run say of its progress."""

    best: Judgement
    curve: list[Judgement]
    """all evaluations, by step"""
    without_gain: int
    """those since the best that count"""

    @property
    def curve_words(self) -> str:
        """`0.31, 0.35, 0.34 at epochs 2, 4, 6`; the newest twelve."""
        shown = self.curve[-_SHOWN:]
        values = ", ".join(number(one.value, 3) for one in shown)
        epochs = ", ".join(f"{one.epoch:.4g}" for one in shown)
        return f"{values} at epochs {epochs}"


def evidence(history: History, stop: StopWhen) -> Evidence | None:
    """What the evaluations during training say; None before the first that has the figure.

    An evaluation counts from where a finished run went on, or a branch left its source. Those of steps that
    a later segment has replaced do not count at all.
    """
    by_step = {event.step: event for event in history.evals if _is_current(event, history)}
    judged = [judge(by_step[step], stop.figure) for step in sorted(by_step)]
    curve = [judgement for judgement in judged if judgement is not None]
    if not curve:
        return None
    best = max(curve, key=lambda one: one.value)  # the first of equal ones
    later = [one for one in curve if one.step > max(best.step, history.counts_from)]
    return Evidence(best, curve, len(later))


def _is_current(event: Eval, history: History) -> bool:
    """Whether an evaluation is one during training, of steps that the run still has."""
    if not Path(event.checkpoint).name.startswith(FOR_EVALUATION) or event.step > history.step:
        return False
    return not any(
        segment.t > event.t and segment.step < event.step for segment in history.segments
    )
