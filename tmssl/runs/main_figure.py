"""The figures that speak for a whole evaluation: their keys, names, chance and lift."""

import dataclasses
import math

from tmssl.runs.eval_event import Eval, Score, comparable
from tmssl.text import number

TOPK = (10, 100)
"""lengths of the result list at which an evaluation is scored unless others are asked for"""

QUERIES = 5000
"""queries that an evaluation draws at most unless told otherwise"""

UNTRAINED = "untrained"
"""the reference with random weights"""

BEFORE = "before training"
"""the reference as the run began, where that was not with random weights"""

_LOWER_IS_BETTER = ("group_nar",)


@dataclasses.dataclass(frozen=True)
class MainFigure:
    """A figure by which evaluations are compared."""

    metric: str
    level: str
    codes: str
    k: int
    """length of the result list, 0 for a metric over the whole ranking"""
    name: str
    """in a sentence, without the length"""
    short: str
    """in a column"""

    def is_of(self, score: Score) -> bool:
        """Whether a score is this figure, at any length of the list."""
        return (score.metric, score.level, score.codes) == (self.metric, self.level, self.codes)

    def score(self, event: Eval) -> Score | None:
        """The score at length `k`."""
        return next((s for s in event.scores if self.is_of(s) and s.k == self.k), None)

    def nearest_score(self, event: Eval) -> Score | None:
        """The score at length `k`, else at the shortest length that the evaluation has."""
        scores = filter(self.is_of, event.scores)
        return min(scores, key=lambda score: (score.k != self.k, score.k), default=None)

    def longest_score(self, event: Eval) -> Score | None:
        """The score of the longest list."""
        return max(filter(self.is_of, event.scores), key=lambda score: score.k, default=None)

    def title(self, k: int) -> str:
        """`division hit@10`; the name alone for a metric over the whole ranking."""
        return at_length(self.name, k)


FIGURATIVE_HIT = MainFigure("hit", "division", "figurative", 10, "division hit", "hit")
ANY_HIT = MainFigure("hit", "division", "all", 10, "any division hit", "hit")
FIGURATIVE_MAP = MainFigure("map", "division", "figurative", 10, "division mAP", "mAP")
ANY_NDCG = MainFigure("ndcg", "division", "all", 10, "nDCG", "nDCG")
GROUP_RECALL = MainFigure("group_recall", "group", "all", 10, "same-group recall", "group")
GROUP_MAP = MainFigure("group_map", "group", "all", 0, "same-group mAP", "group mAP")
INVARIANCE = MainFigure("invariance", "copy", "all", 1, "invariance", "invariance")

MAIN_FIGURES = (
    FIGURATIVE_HIT,
    ANY_HIT,
    FIGURATIVE_MAP,
    ANY_NDCG,
    GROUP_RECALL,
    GROUP_MAP,
    INVARIANCE,
)
SPEAKING = (FIGURATIVE_HIT, ANY_HIT, GROUP_RECALL, INVARIANCE)
"""the first that the labels allow stands for an evaluation"""

TELLING_APART = (FIGURATIVE_HIT, GROUP_RECALL)
"""figures that tell a trained encoder from an untrained one; the others hardly differ between them"""

# Settings of `train.best_by`; the first two are tried by `auto`: figurative codes before groups, since
# groups are often just duplicates.
BEST_BY = {
    "figurative-map": FIGURATIVE_MAP,
    "group-map": GROUP_MAP,
    "figurative-hit": FIGURATIVE_HIT,
    "group-recall": GROUP_RECALL,
    "invariance": INVARIANCE,
}
_AUTOMATIC = ("figurative-map", "group-map")


def at_length(name: str, k: int) -> str:
    """`hit@10`, or `hit` where `k` is 0."""
    return f"{name}@{k}" if k else name


def lift(score: Score) -> float | None:
    """How many times its chance level a score is; None where that says nothing."""
    if not score.chance or score.value is None or score.metric in _LOWER_IS_BETTER:
        return None
    return score.value / score.chance


def beginning(score: Score) -> tuple[str, float | None]:
    """The line to beat: the reference that the run began as, and its figure; None where there is none."""
    name = BEFORE if BEFORE in score.references else UNTRAINED
    return name, score.references.get(name)


def best_score(events: list[Eval]) -> Score | None:
    """The best score of comparable evaluations, by the first figure that the labels allow."""
    for figure in SPEAKING:
        scores = [figure.score(event) for event in comparable(events, figure.metric)]
        scored = [score for score in scores if score is not None and score.value is not None]
        if scored:
            return max(scored, key=lambda score: score.value or 0.0)
    return None


def short_name(score: Score) -> str:
    """`hit@10`, `group@10` or `invariance@1`: the name of a score for a narrow column."""
    names = (figure.short for figure in SPEAKING if figure.is_of(score))
    return at_length(next(names, score.metric), score.k)


@dataclasses.dataclass(frozen=True)
class Judgement:
    """The figure by which a checkpoint is compared with the others of its run; more is better."""

    name: str
    value: float
    chance: float | None
    step: int
    epoch: float

    def __str__(self) -> str:
        """`figurative-map 0.31 (chance 0.12) at epoch 10`."""
        chance = f" (chance {number(self.chance, 3)})" if self.chance is not None else ""
        return f"{self.name} {number(self.value, 3)}{chance} at epoch {self.epoch:.4g}"


def judge(event: Eval, best_by: str) -> Judgement | None:
    """The figure by which `best_by` compares checkpoints; None where the loss decides.

    Args:
        event: the evaluation.
        best_by: a key of `BEST_BY`, `auto` for the first of figurative and group mAP that the labels
            allow, or `loss`.
    """
    for name in _AUTOMATIC if best_by == "auto" else (best_by,):
        score = BEST_BY[name].longest_score(event) if name in BEST_BY else None
        if score is not None and score.value is not None and math.isfinite(score.value):
            return Judgement(name, score.value, score.chance, event.step, event.epoch)
    return None
