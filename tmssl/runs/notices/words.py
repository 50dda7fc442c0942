"""What a notice says of a run: its name, state, finding and last figures, and nothing of its marks."""

import dataclasses

from tmssl.runs.events import End, Finding
from tmssl.runs.history import History, state
from tmssl.runs.main_figure import judge
from tmssl.text import number, safe

# Texts that repeat another program's error, which may hold the path of a mark.
_QUOTING = {"checkpoint-failed", "checkpoint-given-up", "evaluation-failed", "rank-lost"}


@dataclasses.dataclass(frozen=True)
class Notice:
    """A message of two parts, as services take it."""

    title: str
    body: str


def finding_notice(name: str, history: History, finding: Finding) -> Notice:
    """The notice of a finding, with the last figures of the run.

    Args:
        name: of the run.
        history: of the run so far.
        finding: to be told.
    """
    quotes = finding.code in _QUOTING
    said = finding.code.replace("-", " ") if quotes else f"{finding.text} - {finding.advice}"
    return Notice(safe(f"{name}: {finding.code}"), f"{safe(said, 500)}\n{figures(history)}")


def end_notice(name: str, history: History, end: End | None) -> Notice:
    """The notice of a run's end.

    Args:
        name: of the run.
        history: of the run.
        end: the trainer's last event; None for a trainer that died without one.
    """
    outcome = end.status if end is not None else state(history, alive=False)
    hints = {
        "failed": "the reason is in its train.log",
        "dead": "its trainer vanished without a last word; resume it with `tmssl train --resume`",
    }
    lines = [hints[outcome]] if outcome in hints else []
    return Notice(safe(f"{name}: {outcome}"), "\n".join([*lines, figures(history)]))


def figures(history: History) -> str:
    """`epoch 24.00/50, loss 4.79 (chance 5.55), figurative division mAP 0.12 (chance 0.03)`."""
    segment = history.segment
    if segment is None:
        return "no step was trained"
    parts = [f"epoch {history.epoch:.2f}/{segment.epochs}"]
    recent = history.steps[-1] if history.steps else None
    if recent is not None:
        parts.append(f"loss {number(recent.loss)} (chance {number(segment.chance)})")
    last = history.evals[-1] if history.evals else None
    figure = last and (judge(last, "auto") or judge(last, "invariance"))
    if figure:
        parts.append(f"{figure.name} {number(figure.value, 3)} (chance {number(figure.chance, 3)})")
    return ", ".join(parts)
