"""All findings of a history, or only those that its journal lacks."""

from collections.abc import Callable

from tmssl.runs.events import Epoch, Finding, Segment
from tmssl.runs.findings.loss import at_chance, between, broke_out, plateau, rising
from tmssl.runs.findings.plan import (
    collapse,
    lr_jump,
    non_finite,
    slow_momentum,
    starving,
)
from tmssl.runs.findings.positives import positives
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
    findings: list[Finding] = []
    for index in range(len(history.segments)):
        findings += _segment_findings(history, index, findings)
    return sorted(findings, key=lambda finding: finding.step)


def new_findings(history: History) -> list[Finding]:
    """Findings of the current segment that the journal lacks.

    It reads that segment only, so frequent calls cost little in a long history.
    """
    if not history.segments:
        return []
    current = len(history.segments) - 1
    start, written = history.segments[current].step, history.findings[history.first_finding :]
    earlier = [f for f in history.findings[: history.first_finding] if f.step <= start]
    known = {finding.code for finding in written}
    findings = _segment_findings(history, current, [*earlier, *written])
    return [finding for finding in findings if finding.code not in known]


def _segment_findings(history: History, index: int, earlier: list[Finding]) -> list[Finding]:
    """The findings of one segment."""
    segment = history.segments[index]
    after = min((later.step for later in history.segments[index + 1 :]), default=None)
    steps = history.steps.between(segment.step, after)
    epochs = between(history.epochs, segment.step, after)
    checked = [check(segment, steps, epochs) for check in _CHECKS]
    findings = [finding for finding in checked if finding is not None]
    findings += positives(history, segment)
    out = broke_out(history, segment, epochs, [*earlier, *findings])
    return [*findings, out] if out else findings
