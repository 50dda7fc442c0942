"""The columns of the list of runs: which there are, how wide they are, and by which the list is sorted."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

from rich.text import Text

from tmssl.runs.events import Score
from tmssl.runs.listing import Row
from tmssl.runs.main_figure import short_name
from tmssl.text import number, safe
from tui.signs import STATES, badge
from tui.theme import StyleOf

DEFAULT = ("state", "epoch", "loss", "best", "optim.lr", "train.batch_size", "finding")
"""columns after the name, as many as fit, unless others are chosen"""
_WIDTHS = {"state": 12, "epoch": 10, "loss": 13, "best": 20, "host": 12, "finding": 60}
_LEAST, _MOST = 6, 16  # cells of any other column
_LEAST_WORDS = 16  # cells of a last column of words
_HEADINGS = {"loss": "loss (chance)", "best": "best (chance)"}
_LEFT = ("state", "best", "host", "branched", "finding")  # words; figures are right-aligned


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of the list."""

    key: str
    """a name of `Row.facts`"""
    heading: str
    width: int

    def title(self) -> str:
        """The heading, aligned as the cells are."""
        return self._aligned(self.heading)

    def cell(self, row: Row, style_of: StyleOf) -> Text:
        """What a run has there, in exactly `width` cells."""
        if self.key == "state":
            return badge(STATES[row.state], style_of, self.width)
        return Text(self._aligned(cell_text(row, self.key)))

    def _aligned(self, text: str) -> str:
        text = text if len(text) <= self.width else f"{text[: self.width - 1]}…"
        return f"{text:{self.width}}" if self.key in _LEFT else f"{text:>{self.width}}"


def column(key: str, rows: Iterable[Row]) -> Column:
    """The column of a name, as wide as its values need."""
    heading = _HEADINGS.get(key, key.rpartition(".")[2])
    width = _WIDTHS.get(key)
    if width is None:
        longest = max((len(cell_text(row, key)) for row in rows), default=0)
        width = min(_MOST, max(_LEAST, len(heading), longest))
    return Column(key, heading, width)


def cell_text(row: Row, key: str) -> str:
    """A fact of a run as text; the epoch with its end, loss and best with their chance."""
    value = row.facts.get(key)
    if key == "epoch":
        return f"{row.epoch:.4g}/{row.epochs or '-'}"
    if key == "loss":
        return f"{number(row.loss, 3)} ({number(row.chance, 3)})"
    if key == "best":
        return best_figure(row.best)
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return safe(value, 60)


def best_figure(score: Score | None) -> str:
    """A figure with its chance level in parentheses, such as `hit@10 0.62 (0.41)`."""
    if score is None:
        return "-"
    return f"{short_name(score)} {number(score.value, 2)} ({number(score.chance, 2)})"


def offered(rows: Iterable[Row]) -> list[str]:
    """Every name that some run has, those of settings last; the name of a run is always shown."""
    names = dict.fromkeys(name for row in rows for name in row.names if name != "name")
    return sorted(names, key=lambda name: ("." in name, name if "." in name else ""))


def sort_rows(rows: Iterable[Row], order: str) -> list[Row]:
    """Runs in the order of a fact, the largest first after a minus; those that lack it come last.

    Without an order those that run come first, then the newest by name.
    """
    rows = sorted(rows, key=lambda row: (row.state == "running", row.run.name), reverse=True)
    if not order:
        return rows
    key, descending = order.removeprefix("-"), order.startswith("-")
    having = [row for row in rows if _place(row.facts.get(key)) is not None]
    lacking = [row for row in rows if _place(row.facts.get(key)) is None]
    return sorted(having, key=lambda row: _place(row.facts[key]), reverse=descending) + lacking  # type: ignore[arg-type, return-value]  # none is None


def _place(value: object) -> tuple[bool, float, str] | None:
    """What to sort by: numbers before words; None for what is not there."""
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return (False, float(value), "") if math.isfinite(value) else None
    return (True, 0.0, str(value).casefold())


def fitting(keys: Sequence[str], rows: Sequence[Row], width: int, least_name: int) -> list[Column]:
    """The first columns that fit beside a name of `least_name` cells; the last one may be cut if it is of words."""
    columns: list[Column] = []
    left = width - least_name
    for key in keys:
        one = column(key, rows)
        if key == keys[-1] and key in _LEFT and one.width > left - 1 >= _LEAST_WORDS:
            one = dataclasses.replace(one, width=left - 1)
        if one.width + 1 > left:
            break
        left -= one.width + 1
        columns.append(one)
    return columns
