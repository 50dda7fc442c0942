"""An evaluation as text: the one rendering of scores that terminal, monitor, report and page show."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from tmssl.runs.eval_event import Eval, Score
from tmssl.runs.main_figure import at_length, lift
from tmssl.text import count, number, safe

COLUMNS = ("Figure", "Level", "Codes", "Value", "Chance", "Lift", "95 % interval")


class Cell(NamedTuple):
    """One place of the table."""

    text: str
    """safe to show"""
    sort: float | str
    """what to sort the rows by; -1 where there is no number"""


@dataclasses.dataclass(frozen=True)
class EvalRow:
    """One score, its fields named as `COLUMNS`."""

    name: Cell
    """`hit@10`, or `nar` for the whole ranking"""
    level: Cell
    codes: Cell
    value: Cell
    chance: Cell
    lift: Cell
    interval: Cell
    """`0.12 to 0.34`, sorted by its lower end"""
    references: dict[str, Cell]
    """by name, as the event has it"""

    @property
    def cells(self) -> list[Cell]:
        """In the order of `COLUMNS`, then the references."""
        figures = [self.value, self.chance, self.lift, self.interval]
        return [self.name, self.level, self.codes, *figures, *self.references.values()]


def score_name(score: Score) -> str:
    """`hit@10`, or `nar` for the whole ranking."""
    return at_length(safe(score.metric.removeprefix("group_"), 40), score.k)


def reference_names(scores: Sequence[Score]) -> list[str]:
    """The names of the references, as the event has them."""
    return list(dict.fromkeys(name for score in scores for name in score.references))


def eval_row(score: Score, references: Sequence[str] = (), digits: int = 3) -> EvalRow:
    """One score as cells, with the references of these names."""

    def cell(value: float | None) -> Cell:
        return Cell(number(value, digits), -1.0 if value is None else value)

    def word(text: str) -> Cell:
        return Cell(safe(text, 40), safe(text, 40))

    low, high = number(score.low, digits), number(score.high, digits)
    return EvalRow(
        name=word(score_name(score)),
        level=word(score.level),
        codes=word(score.codes),
        value=cell(score.value),
        chance=cell(score.chance),
        lift=cell(lift(score)),
        interval=cell(score.low)._replace(text="-" if score.low is None else f"{low} to {high}"),
        references={name: cell(score.references.get(name)) for name in references},
    )


def eval_rows(scores: Sequence[Score]) -> list[EvalRow]:
    """Every score as cells, all with the same references."""
    names = reference_names(scores)
    return [eval_row(score, names) for score in scores]


def eval_heading(event: Eval) -> str:
    """`900 queries (validation) against 5,000 marks, checkpoint checkpoints/best.pt, epoch 10`."""
    return (
        f"{count(event.queries, 'query', 'queries')} ({safe(event.split, 40)}) against "
        f"{count(event.gallery, 'mark')}, checkpoint {safe(event.checkpoint)}, epoch {event.epoch:.4g}"
    )
