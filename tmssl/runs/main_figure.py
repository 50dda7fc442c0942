"""By which figure of an evaluation the best checkpoint of a run is chosen."""

import dataclasses
import math

from tmssl.runs.events import Eval, Score
from tmssl.text import number

# Name to (metric, level, codes); the longest list counts. The first of them that an evaluation has is
# `auto`: figurative codes before owners, since groups are often just duplicates.
FIGURES: dict[str, tuple[str, str, str]] = {
    "figurative-map": ("map", "division", "figurative"),
    "group-map": ("group_map", "group", "all"),
    "figurative-hit": ("hit", "division", "figurative"),
    "group-recall": ("group_recall", "group", "all"),
    "invariance": ("invariance", "copy", "all"),
}
_AUTOMATIC = ("figurative-map", "group-map")


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What an evaluation says of its checkpoint; more is better."""

    name: str
    value: float
    chance: float | None
    step: int
    epoch: float

    def __str__(self) -> str:
        """`figurative-map 0.31 (chance 0.12) at epoch 10`."""
        chance = f" (chance {number(self.chance, 3)})" if self.chance is not None else ""
        return f"{self.name} {number(self.value, 3)}{chance} at epoch {self.epoch:.4g}"


def judged(event: Eval, best_by: str) -> Judgement | None:
    """The figure of an evaluation that `best_by` asks for; None where the loss decides.

    Args:
        event: the evaluation.
        best_by: a name of `FIGURES`, `auto` for the first of figurative and group mAP that the labels
            allow, or `loss`.
    """
    for name in _AUTOMATIC if best_by == "auto" else (best_by,):
        found = _longest(event.scores, FIGURES[name]) if name in FIGURES else None
        if found is not None and found.value is not None and math.isfinite(found.value):
            return Judgement(name, found.value, found.chance, event.step, event.epoch)
    return None


def _longest(scores: list[Score], place: tuple[str, str, str]) -> Score | None:
    """The figure over the longest list, or over the whole ranking."""
    there = [score for score in scores if (score.metric, score.level, score.codes) == place]
    return max(there, key=lambda score: score.k, default=None)
