"""Findings from one evaluation: labels joined wrongly, or nothing learned."""

import math

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.findings.make import make_finding
from tmssl.runs.main_figure import TELLING_APART
from tmssl.text import number, safe

_SURE = 1e-4  # below this probability, so few hits are not chance


def evaluation_findings(event: Eval, counts: dict[str, int] | None = None) -> list[Finding]:
    """Findings of an evaluation: hits far below chance, and no better than an untrained encoder.

    The second needs every figure of `TELLING_APART`: marks that look nothing alike share a division, so
    divisions may hide what groups show.

    Args:
        event: the evaluation.
        counts: those of the journal's `run` event, quoted by the first finding.
    """
    findings, counts = [], counts or {}
    prefix = f"{safe(manner(event))}: " if manner(event) else ""
    below = next((score for score in _hits(event) if _improbable(score)), None)
    if below is not None:
        coded = counts.get("with_codes")
        join = f"; {coded:,} of {counts.get('marks', 0):,} marks have codes" if coded else ""
        findings.append(
            make_finding(
                event,
                "bad",
                "below-chance",
                f"{prefix}hit@{below.k} is {number(below.value, 2)} over {below.queries} queries where "
                f"chance is {number(below.chance, 2)}{join}: labels and images are probably joined wrongly",
                "check the join first: tmssl pack DIR reports what it could not match",
            )
        )
    main = [score for figure in TELLING_APART if (score := figure.score(event)) is not None]
    if main and all(map(_is_untrained, main)):
        score = main[0]
        findings.append(
            make_finding(
                event,
                "warning",
                "no-better-than-untrained",
                f"{prefix}{score.metric}@{score.k} is {number(score.value, 3)}, and an untrained encoder "
                f"has {number(score.references.get('untrained'), 3)}: training shows no effect yet",
                "train longer, or compare other --views; a falling loss alone is no better retrieval",
            )
        )
    return findings


def _hits(event: Eval) -> list[Score]:
    """The hit rates, the longest list first."""
    hits = [s for s in event.scores if s.metric == "hit" and s.codes in ("all", "figurative")]
    return sorted(hits, key=lambda score: -score.k)


def _is_untrained(score: Score) -> bool:
    """Whether the untrained encoder scores within the confidence interval, or above it."""
    untrained = score.references.get("untrained")
    return untrained is not None and score.high is not None and untrained >= (score.low or 0.0)


def _improbable(score: Score) -> bool:
    """Whether chance gives so few hits with a probability (lower binomial tail) below 1 in 10,000.

    The chance differs between queries, which makes the true spread smaller than the binomial's, so the
    test is conservative (Hoeffding 1956).
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
