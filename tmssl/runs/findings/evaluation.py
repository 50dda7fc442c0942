"""Findings from one evaluation: labels joined wrongly, or nothing learned."""

import math

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Eval, Finding, Score
from tmssl.runs.findings.make import make_finding
from tmssl.runs.main_figure import BEFORE, TELLING_APART, at_length
from tmssl.text import number, safe

_SURE = 1e-4  # below this probability, so few hits are not chance
_OF_INTERVAL = 0.5  # of the interval's upper half that a loss must exceed
_HASH = "perceptual hash"  # the reference
EVALUATION_CODES = frozenset(
    {"below-chance", "no-better-than-untrained", "worse-than-before", "hash-finds-more"}
)
"""codes of `evaluation_findings`, which the next evaluation confirms or ends"""


def evaluation_findings(event: Eval, counts: dict[str, int] | None = None) -> list[Finding]:
    """Findings of an evaluation: far below chance, no better than untrained or a hash, worse than before.

    `no-better-than-untrained` needs every figure of `TELLING_APART`: marks that look nothing alike share a
    division, so divisions may hide what groups show. `hash-finds-more` and `worse-than-before` need one of
    them below and none above.

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
    later = (_hash_finds_more(event, prefix), _worse_than_before(event, prefix))
    return [*findings, *(finding for finding in later if finding is not None)]


def _lost_to(event: Eval, reference: str) -> tuple[Score, float, float] | None:
    """The figure by which a reference wins most, with the reference's and the encoder's.

    None unless the reference surely wins by one figure of `TELLING_APART` and loses by none.
    """
    main = [score for figure in TELLING_APART if (score := figure.nearest_score(event)) is not None]
    pairs = [(score, score.references.get(reference), score.value) for score in main]
    lost = [
        (score, other, value)
        for score, other, value in pairs
        # The same queries were asked of both, so the difference varies less than either figure does.
        if other is not None
        and value is not None
        and other - value > ((score.high or value) - value) * _OF_INTERVAL
    ]
    gained = any(other is not None and (value or 0.0) > other for _, other, value in pairs)
    return None if gained or not lost else max(lost, key=lambda one: one[1] - one[2])


def _named(score: Score) -> str:
    """`group recall@10`."""
    return at_length(f"{score.level} {score.metric.removeprefix('group_')}", score.k)


def _hash_finds_more(event: Eval, prefix: str) -> Finding | None:
    """A perceptual hash, which needs no training, ranks better than this encoder."""
    lost = _lost_to(event, _HASH)
    if lost is None:
        return None
    score, hashed, value = lost
    return make_finding(
        event,
        "warning",
        "hash-finds-more",
        f"{prefix}a perceptual hash finds more than this encoder: {_named(score)} is {number(hashed, 3)} "
        f"by the hash and {number(value, 3)} by the encoder",
        "such an encoder is of no use for search yet; `tmssl eval --features` shows whether the features "
        "that it began with do better",
    )


def _worse_than_before(event: Eval, prefix: str) -> Finding | None:
    """Training has made the encoder worse than the one that it began with."""
    lost = _lost_to(event, BEFORE)
    if lost is None:
        return None
    score, before, value = lost
    return make_finding(
        event,
        "bad",
        "worse-than-before",
        f"{prefix}{_named(score)} is {number(value, 3)} and was {number(before, 3)} before training, which has "
        "made the encoder worse",
        "use an earlier checkpoint, or start again with fewer epochs or a lower --lr; `tmssl eval "
        "--features` shows what the weights give without training",
    )


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
