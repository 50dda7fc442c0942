"""The runs of a sweep compared: how far each is, and the figure of its best evaluation."""

from collections.abc import Sequence

import msgspec

from tmssl.runs.eval_event import comparable
from tmssl.runs.folder import Run
from tmssl.runs.history import History, state
from tmssl.runs.main_figure import BEST_BY, Judgement, judge
from tmssl.text import number, safe

NOT_BEGUN = "planned"
"""the state of a run that has no folder yet"""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a sweep."""

    name: str
    path: str
    state: str
    """as in the list of runs, or `planned`"""
    settings: dict[str, object]
    """those in which it differs"""
    epoch: float = 0.0
    """epochs trained"""
    epochs: int
    """epochs planned"""
    figure: str = ""
    """what evaluations are compared by; empty without any"""
    value: float | None = None
    """of the best evaluation"""
    chance: float | None = None
    loss: float | None = None
    """mean of the last epoch"""


def result_of(
    run: Run, settings: dict[str, object], best_by: str, epochs: int, history: History, alive: bool
) -> Result:
    """The result of one run.

    Args:
        run: its folder, which need not exist.
        settings: those in which it differs.
        best_by: the figure by which its evaluations are compared, as the setting of that name.
        epochs: planned.
        history: of the run; an empty one before it has begun.
        alive: whether a trainer holds it.
    """
    figure = best_evaluation(history, best_by)
    return Result(
        name=run.name,
        path=str(run.path),
        state=state(history, alive) if alive or history.segments else NOT_BEGUN,
        settings=settings,
        epoch=round(history.epoch, 4),
        epochs=epochs,
        figure=figure.name if figure else "",
        value=figure.value if figure else None,
        chance=figure.chance if figure else None,
        loss=history.epochs[-1].loss if history.epochs else None,
    )


def best_evaluation(history: History, best_by: str) -> Judgement | None:
    """The best evaluation of a run: by labels, or without any by augmented copies; None by the loss."""
    if best_by == "loss":
        return None
    for name in (best_by, "invariance"):
        metric = BEST_BY[name].metric if name in BEST_BY else "map"
        judged = [judge(event, name) for event in comparable(history.evals, metric)]
        told = [figure for figure in judged if figure is not None]
        if told:
            return max(told, key=lambda figure: figure.value)
    return None


def ranked(results: Sequence[Result]) -> list[Result]:
    """The results, the best first; runs without an evaluation last, by their loss."""

    def place(result: Result) -> tuple[bool, str, float, float]:
        value = -result.value if result.value is not None else 0.0
        loss = result.loss if result.loss is not None else float("inf")
        return result.value is None, result.figure, value, loss

    return sorted(results, key=place)


def table_lines(results: Sequence[Result]) -> list[str]:
    """The results as a table, in their order."""
    width = max([len("run"), *(len(result.name) for result in results)])
    lines = [
        f"{'run':{width}}  {'state':>9}{'epoch':>12}{'figure':>16}{'value':>8}{'chance':>8}{'loss':>9}"
    ]
    for result in results:
        epoch = f"{result.epoch:.4g}/{result.epochs}"
        lines.append(
            f"{safe(result.name):{width}}  {result.state:>9}{epoch:>12}{result.figure or '-':>16}"
            f"{number(result.value, 3):>8}{number(result.chance, 3):>8}{number(result.loss):>9}"
        )
    return lines
