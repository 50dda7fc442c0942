"""Which marks a search may find: `--vienna 3.7` and `--where "year>=2015"`, before any ranking."""

import dataclasses
import math
import re
from collections.abc import Sequence

import numpy as np

from tmssl.data.sources.marks import MarkTable
from tmssl.data.vienna import parse_code
from tmssl.errors import InputError
from tmssl.text import nearest, safe
from tmssl.types import Mask

COLUMNS = ("path", "id", "group", "split", "title", "url")
_PATTERN = re.compile(
    r"([^=!<>~]*+)(!=|<=|>=|==?|<|>|~)(.*)",
    re.DOTALL,
)
_ORDER = frozenset({"<", "<=", ">", ">="})


@dataclasses.dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value."""

    column: str
    sign: str
    """`=`, `!=`, `<`, `<=`, `>`, `>=` or `~` (contains)"""
    value: str

    def matches(self, text: str) -> bool:
        """Whether a mark with this text in the column passes.

        Two numbers are compared as numbers, anything else as text without regard to case, so that
        ISO dates order well. A mark without a value passes `!=` alone, and a number is neither
        above nor below a word.
        """
        if self.sign == "~":
            return self.value.casefold() in text.casefold()
        number, limit = number_in(text), number_in(self.value)
        if number is not None and limit is not None:
            return _compare(self.sign, number < limit, number > limit)
        if self.sign in _ORDER and (not text or (number is None) != (limit is None)):
            return False
        folded, value = text.casefold(), self.value.casefold()
        return _compare(self.sign, folded < value, folded > value)


def _compare(sign: str, below: bool, above: bool) -> bool:
    """Whether a comparison holds for a value that is below, above, or else equal to another."""
    if sign in ("=", "!="):
        return (below or above) == (sign == "!=")
    strict = below if sign.startswith("<") else above
    return strict or (sign.endswith("=") and not below and not above)


def number_in(text: str) -> float | int | None:
    """A finite number, or None; whole ones exactly, since identifiers have more digits than a float."""
    try:
        if text.strip().isdecimal():
            return int(text)
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parse_condition(text: str) -> Condition:
    """`year>=2015` as a condition.

    Raises:
        InputError: it has no operator or no column, or orders by an empty value.
    """
    match = _PATTERN.fullmatch(text)
    column, sign, value = (part.strip() for part in match.groups()) if match else ("", "", "")
    sign = sign.replace("==", "=")
    if not column or (not value and sign not in ("=", "!=")):
        raise InputError(
            f"--where is '{safe(text, 80)}'; write COLUMN, one of = != < <= > >= ~, and VALUE, such "
            'as "year>=2015" or "title~moon"'
        )
    return Condition(column, sign, value)


def select(marks: MarkTable, vienna: Sequence[str], where: Sequence[Condition]) -> Mask:
    """The marks that have one of some Vienna codes and meet every condition.

    Args:
        marks: the gallery.
        vienna: codes as printed; `3.7` takes the division 03.07 and all its sections. Empty takes all.
        where: conditions on columns of the catalogue.

    Returns:
        bool (marks,).

    Raises:
        CodeError: a code does not parse.
        InputError: the catalogue has no such column.
    """
    mask = np.ones(len(marks), np.bool_)
    if vienna:
        prefixes = tuple(f"{parse_code(code)}." for code in vienna)
        codes_per_mark = marks.column("vienna", tuple[str, ...], ())
        passing = {
            codes: any(f"{code}.".startswith(prefixes) for code in codes)
            for codes in set(codes_per_mark)
        }
        mask &= np.fromiter(map(passing.__getitem__, codes_per_mark), np.bool_, len(marks))
    for condition in where:
        texts = _column(marks, condition.column)
        matching = {text: condition.matches(text) for text in set(texts)}
        mask &= np.fromiter(map(matching.__getitem__, texts), np.bool_, len(marks))
    return mask


def _column(marks: MarkTable, column: str) -> list[str]:
    """A column of the catalogue as text.

    Raises:
        InputError: there is no such column.
    """
    if column in COLUMNS:
        return marks.column(column, str, "")
    if column == "vienna":
        return [";".join(codes) for codes in marks.column("vienna", tuple[str, ...], ())]
    extras: list[dict[str, str]] = marks.column("extra", dict[str, str], {})
    if not any(column in extra for extra in extras):
        known = sorted({*COLUMNS, "vienna"}.union(*(extras[:1000])))
        raise InputError(
            f"--where: the catalogue has no column '{safe(column, 60)}'{nearest(column, known)}; "
            f"it has {safe(', '.join(known))}"
        )
    return [extra.get(column, "") for extra in extras]
