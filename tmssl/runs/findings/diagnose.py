"""What a journal shows that a person should know, with one line of advice each."""

from collections.abc import Callable

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.findings.loss import at_chance, between, broke_out, plateau, rising
from tmssl.runs.findings.plan import (
    collapse,
    lr_jump,
    non_finite,
    positives,
    slow_momentum,
    starving,
)
from tmssl.runs.history import History
from tmssl.runs.steps import Steps

_CHECKS: tuple[Callable[[Segment, Steps, list[Epoch]], Finding | None], ...] = (
    lr_jump,
    at_chance,
    rising,
    plateau,
    collapse,
    starving,
    non_finite,
    slow_momentum,
)


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
    epochs = between(history.epochs, segment.step, after)
    told = [check(segment, steps, epochs) for check in _CHECKS]
    found = [finding for finding in told if finding is not None]
    found += positives(history, segment)
    out = broke_out(history, segment, epochs, [*earlier, *found])
    return [*found, out] if out else found
