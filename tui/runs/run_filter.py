"""The filter of the list of runs: `lr>=1e-3 state=running name~toy`, words that must all fit."""

import dataclasses
import re
from collections.abc import Iterable, Iterator

from tmssl.runs.listing import Row
from tmssl.text import nearest, safe

OPERATORS = (">=", "<=", "!=", "=", ">", "<", "~")
"""between a name and a value; `~` asks whether the value holds a text"""
_CONDITION = re.compile(r"(?P<name>[\w.@-]+)(?P<operator>>=|<=|!=|=|>|<|~)(?P<value>.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Condition:
    """One word of a filter."""

    name: str
    """of a setting, a figure or a word about the run; empty for a text that any of them may hold"""
    operator: str
    value: str
    """in lower case"""

    def fits(self, row: Row) -> bool:
        """Whether a run fits; one without such a value fits `!=` only."""
        if not self.name:
            return self.value in row.searched
        found = [value for value in row.values_of(self.name) if value is not None]
        if self.operator == "!=":
            return not any(_compare(value, "=", self.value) for value in found)
        return any(_compare(value, self.operator, self.value) for value in found)


@dataclasses.dataclass(frozen=True)
class RunFilter:
    """What runs must fit to be listed."""

    conditions: tuple[Condition, ...] = ()

    def fits(self, row: Row) -> bool:
        """Whether a run fits every word."""
        return all(condition.fits(row) for condition in self.conditions)

    def problem(self, rows: Iterable[Row]) -> str:
        """What is wrong with a filter that no run fits; empty where each name is known."""
        names = {name for row in rows for name in row.names}
        known = names | {name.rpartition(".")[2] for name in names}
        for condition in self.conditions:
            if condition.name and condition.name not in known:
                return (
                    f"no run has '{safe(condition.name)}'{nearest(condition.name, sorted(known))}"
                )
        return ""


def parse_filter(text: str) -> RunFilter:
    """The filter of any text; a word without a name and a value, such as one half typed, is searched as it is.

    A name without a value, `lr>=`, asks for nothing yet.
    """
    return RunFilter(tuple(_conditions(text)))


def _conditions(text: str) -> Iterator[Condition]:
    for word in text.casefold().split():
        match = _CONDITION.fullmatch(word)
        if match is None:
            yield Condition("", "~", word)
        elif match["value"]:
            yield Condition(match["name"], match["operator"], match["value"])


def _compare(value: object, operator: str, wanted: str) -> bool:
    """A value against a text: as numbers where both are, else only whether they are equal, or hold it."""
    text = str(value).casefold()
    if operator == "~":
        return wanted in text
    number, limit = _number(value), _number(wanted)
    if number is None or limit is None:
        return operator == "=" and text == wanted
    return {
        ">=": number >= limit,
        "<=": number <= limit,
        ">": number > limit,
        "<": number < limit,
        "=": number == limit,
    }[operator]


def _number(value: object) -> float | None:
    """A value as a number; None where it is none."""
    if isinstance(value, bool):
        return None
    try:
        return float(value)  # type: ignore[arg-type]  # anything else raises what is caught here
    except (TypeError, ValueError, OverflowError):
        return None
