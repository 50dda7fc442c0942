"""Which findings of a run are still true, the worst first: what a person should see before all else."""

import math
from collections.abc import Callable

from tmssl.runs.eval_event import manner
from tmssl.runs.events import Epoch, Eval, Finding, Segment
from tmssl.runs.findings.evaluation import EVALUATION_CODES, evaluation_findings
from tmssl.runs.findings.loss import AT_CHANCE, between, plateau, progress, rising
from tmssl.runs.findings.plan import COLLAPSED, starving
from tmssl.runs.history import History
from tmssl.text import count

_SEVERITY = ("bad", "warning", "good", "info")
_RECENT = 20  # logged steps that tell what the trainer does now


def standing_findings(history: History) -> list[Finding]:
    """The findings that are still true, the worst first, and of equal ones the newest first.

    A finding of the loss ends when the loss leaves it behind, one of an evaluation with the next evaluation
    of its manner that does not repeat it, one of the disk with the next checkpoint, any other with the next
    segment.
    """
    standing: dict[str, Finding] = {}
    for at, finding in enumerate(history.findings):
        key = finding.code if finding.level in ("bad", "warning") else f"{finding.code} {at}"
        standing.pop(key, None)  # a later finding of the code says the same with newer figures
        if _stands(finding, at, history):
            standing[key] = finding
    newest_first = list(standing.values())[::-1]
    return sorted(newest_first, key=lambda finding: _severity(finding.level))


def worst_finding(history: History) -> tuple[Finding | None, str]:
    """The worst finding that is still true, and what else is: `1 other problem, 3 notes`."""
    standing = standing_findings(history)
    if not standing:
        return None, ""
    others = standing[1:]
    grave = [finding for finding in others if _severity(finding.level) < _SEVERITY.index("good")]
    parts = [count(len(grave), "other problem")] if grave else []
    rest = len(others) - len(grave)
    return standing[0], ", ".join([*parts, *([count(rest, "note")] if rest else [])])


def finding_facts(history: History) -> dict[str, object]:
    """The worst finding that is still true for `watch --json` and `runs --json`, and how many are true."""
    finding, _ = worst_finding(history)
    return {
        "finding": finding.text if finding else None,
        "advice": finding.advice if finding else None,
        "finding_level": finding.level if finding else None,
        "findings_standing": len(standing_findings(history)),
    }


def _severity(level: str) -> int:
    """Smaller is worse; a level that this version does not know counts as a warning."""
    return _SEVERITY.index(level if level in _SEVERITY else "warning")


def _stands(finding: Finding, at: int, history: History) -> bool:
    """Whether what a finding says is still so."""
    if finding.code in EVALUATION_CODES:
        return _evaluations_repeat(finding, history.evals)
    segment, check = history.segment, _CHECKS.get(finding.code)
    if check is None or segment is None:
        return at >= history.first_finding
    return check(finding, segment, history)


def _evaluations_repeat(finding: Finding, evals: list[Eval]) -> bool:
    """Whether the newest evaluation of some manner says the same; an older one is no proof."""
    newest = {manner(event): event for event in evals if event.step >= finding.step}
    if not newest:
        return True
    return any(
        found.code == finding.code
        for event in newest.values()
        for found in evaluation_findings(event)
    )


def _own_epochs(segment: Segment, history: History) -> list[Epoch]:
    """The epochs of the current segment."""
    return between(history.epochs, segment.step, None)


def _newest_loss(history: History) -> float | None:
    """The mean loss of the newest logged steps, or that of the newest epoch."""
    losses = [loss for loss in history.points.column("loss")[-_RECENT:] if math.isfinite(loss)]
    if not history.steps:
        losses = losses[-1:]
    return sum(losses) / len(losses) if losses else None


def _at_chance(_finding: Finding, segment: Segment, history: History) -> bool:
    loss = _newest_loss(history)
    share = None if loss is None else progress(segment, loss)
    return share is None or share < AT_CHANCE


def _rising(finding: Finding, segment: Segment, history: History) -> bool:
    """A resume answers it; within its segment the same check says whether it goes on."""
    epochs = _own_epochs(segment, history)
    return finding.step > segment.step and rising(segment, history.steps, epochs) is not None


def _plateau(finding: Finding, segment: Segment, history: History) -> bool:
    """A resume answers it; within its segment a plateau begins anew after the lowest loss."""
    epochs = _own_epochs(segment, history)
    losses = [(epoch.step, epoch.loss) for epoch in epochs if epoch.loss is not None]
    if finding.step <= segment.step or not losses:
        return False
    lowest_step = min(losses, key=lambda one: one[1])[0]
    later = [epoch for epoch in epochs if epoch.step >= lowest_step]
    return lowest_step <= finding.step or plateau(segment, history.steps, later) is not None


def _collapse(_finding: Finding, _segment: Segment, history: History) -> bool:
    spreads = [value for value in history.steps.column("feature_std")[-5:] if math.isfinite(value)]
    return not spreads or max(spreads) < COLLAPSED


def _starving(_finding: Finding, segment: Segment, history: History) -> bool:
    recent = history.steps.between(segment.step, None)
    return len(recent) < _RECENT // 2 or starving(segment, recent, []) is not None


def _non_finite(_finding: Finding, _segment: Segment, history: History) -> bool:
    recent = history.steps[-_RECENT:]
    return len(recent) < _RECENT or not all(map(math.isfinite, recent.column("loss")))


def _slow_momentum(finding: Finding, _segment: Segment, history: History) -> bool:
    """It is about a plan, which holds until a resume changes it."""
    later = [one for one in history.segments if one.step >= finding.step]
    return not any({"optim.momentum", "train.epochs"} & set(one.changed) for one in later)


def _broke_out(finding: Finding, _segment: Segment, history: History) -> bool:
    """It is news until the loss is stuck again."""
    stuck = ("at-chance", "rising", "plateau")
    return not any(one.code in stuck and one.step > finding.step for one in history.findings)


def _checkpoint_failed(finding: Finding, _segment: Segment, history: History) -> bool:
    """It ends with the first checkpoint that was written after it."""
    return not any(written.t > finding.t for written in history.checkpoints)


def _evaluation_failed(finding: Finding, _segment: Segment, history: History) -> bool:
    return not any(event.t > finding.t for event in history.evals)


_CHECKS: dict[str, Callable[[Finding, Segment, History], bool]] = {
    "at-chance": _at_chance,
    "rising": _rising,
    "plateau": _plateau,
    "collapse": _collapse,
    "starving": _starving,
    "non-finite": _non_finite,
    "slow-momentum": _slow_momentum,
    "broke-out": _broke_out,
    "checkpoint-failed": _checkpoint_failed,
    "evaluation-failed": _evaluation_failed,
}
