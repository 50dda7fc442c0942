"""What one evaluation shows that a person should know: labels joined wrongly, or nothing learnt."""

import math

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.main_figure import TELLING_APART
from tmssl.text import number, safe

_SURE = 1e-4  # probability of so few hits by chance below which it was not chance


def evaluation_findings(event: Eval, counts: dict[str, int] | None = None) -> list[Finding]:
    """Findings of an evaluation: hits far below chance, and no better than the untrained encoder.

    The latter is said when it holds of every figure that tells encoders apart: divisions are shared by
    marks that look nothing like each other, so they may hide what the same marks' groups show.

    Args:
        event: the evaluation.
        counts: of the journal's `run` event, told with the first finding.
    """
    found = []
    how = f"{safe(manner(event))}: " if manner(event) else ""
    below = next((s for s in _hits(event) if _improbable(s)), None)
    if below is not None:
        joined = (counts or {}).get("with_codes")
        words = (
            f"; {joined:,} of {(counts or {}).get('marks', 0):,} marks have codes" if joined else ""
        )
        found.append(
            _finding(
                event,
                "below-chance",
                "bad",
                f"{how}hit@{below.k} is {number(below.value, 2)} over {below.queries} queries where chance is "
                f"{number(below.chance, 2)}{words}: labels and images are probably joined wrongly",
                "look at the join before anything else: tmssl pack DIR tells what it lost",
            )
        )
    main = [score for figure in TELLING_APART if (score := figure.score(event)) is not None]
    if main and all(map(_is_untrained, main)):
        same = main[0]
        found.append(
            _finding(
                event,
                "no-better-than-untrained",
                "warning",
                f"{how}{same.metric}@{same.k} is {number(same.value, 3)}, where an untrained encoder has "
                f"{number(same.references.get('untrained'), 3)}: the training shows nothing yet",
                "train longer, or compare other --views; a falling loss alone is no better retrieval",
            )
        )
    return found


def _finding(event: Eval, code: str, level: str, text: str, advice: str) -> Finding:
    """A finding at the place of an evaluation."""
    return Finding(
        code=code,
        level=level,
        text=text,
        advice=advice,
        step=event.step,
        epoch=event.epoch,
        t=event.t,
    )


def _hits(event: Eval) -> list[Score]:
    """Shares of queries with a hit, the longest list first."""
    hits = [s for s in event.scores if s.metric == "hit" and s.codes in ("all", "figurative")]
    return sorted(hits, key=lambda score: -score.k)


def _is_untrained(score: Score) -> bool:
    """Whether the untrained encoder's figure lies in the interval, or above it."""
    untrained = score.references.get("untrained")
    return untrained is not None and score.high is not None and untrained >= (score.low or 0.0)


def _improbable(score: Score) -> bool:
    """Whether so few hits are too few for chance: the lower binomial tail is below 1 in 10,000.

    Queries differ in their chance, which makes the true spread smaller than the binomial's, so this
    errs towards saying nothing (Hoeffding 1956).
    """
    if score.value is None or score.chance is None or not score.queries:
        return False
    hits, chance = round(score.value * score.queries), min(max(score.chance, 0.0), 1.0)
    if hits >= chance * score.queries:
        return False
    if chance == 1.0:
        return True
    logs = [
        math.lgamma(score.queries + 1)
        - math.lgamma(i + 1)
        - math.lgamma(score.queries - i + 1)
        + i * math.log(chance)
        + (score.queries - i) * math.log1p(-chance)
        for i in range(hits + 1)
    ]
    return sum(map(math.exp, logs)) < _SURE
