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

_COLUMNS = ("path", "id", "group", "split", "title", "url")
_FORM = re.compile(
    r"\s*(?P<column>[^=!<>~]+?)\s*(?P<sign>!=|<=|>=|==?|<|>|~)\s*(?P<value>.*?)\s*", re.DOTALL
)
_ORDER = frozenset({"<", "<=", ">", ">="})


@dataclasses.dataclass(frozen=True)
class Condition:
    """One comparison of a column with a value."""

    column: str
    sign: str
    """`=`, `!=`, `<`, `<=`, `>`, `>=` or `~` (contains)"""
    value: str

    def holds(self, text: str) -> bool:
        """Whether a mark with this text in the column passes.

        Two numbers are compared as numbers, anything else as text without regard to case, so that
        ISO dates order well. A mark without a value passes `!=` alone, and a number is neither
        above nor below a word.
        """
        if self.sign == "~":
            return self.value.casefold() in text.casefold()
        mine, wanted = _number(text), _number(self.value)
        if mine is not None and wanted is not None:
            return _compare(self.sign, mine < wanted, mine > wanted)
        if self.sign in _ORDER and (not text or (mine is None) != (wanted is None)):
            return False
        own, other = text.casefold(), self.value.casefold()
        return _compare(self.sign, own < other, own > other)


def _compare(sign: str, below: bool, above: bool) -> bool:
    """Whether a comparison holds for a value that is below, above, or else equal to another."""
    equal = not below and not above
    return {
        "=": equal,
        "!=": not equal,
        "<": below,
        "<=": below or equal,
        ">": above,
        ">=": above or equal,
    }[sign]


def _number(text: str) -> float | int | None:
    """A finite number, or None; whole ones exactly, since identifiers have more digits than a float."""
    try:
        if text.strip().isdecimal():
            return int(text)
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def parse_condition(text: str) -> Condition:
    """`year>=2015` as a condition.

    Raises:
        InputError: it has no operator, no column, or orders by nothing.
    """
    found = _FORM.fullmatch(text)
    sign = found["sign"].replace("==", "=") if found else ""
    if not found or (not found["value"] and sign not in ("=", "!=")):
        raise InputError(
            f"--where is '{safe(text, 80)}'; write COLUMN, one of = != < <= > >= ~, and VALUE, such "
            'as "year>=2015" or "title~moon"'
        )
    return Condition(found["column"], sign, found["value"])


def select(rows: MarkTable, vienna: Sequence[str], where: Sequence[Condition]) -> Mask:
    """The marks that have one of some Vienna codes and meet every condition.

    Args:
        rows: the gallery.
        vienna: codes as printed; `3.7` takes the division 03.07 and all its sections. Empty takes all.
        where: conditions on any column of the catalogue.

    Returns:
        bool (marks,).

    Raises:
        CodeError: a code does not parse.
        InputError: the catalogue has no such column.
    """
    mask = np.ones(len(rows), np.bool_)
    if vienna:
        prefixes = tuple(f"{parse_code(code)}." for code in vienna)
        codes_per_mark = rows.column("vienna", tuple[str, ...], ())
        verdicts = {
            codes: any(f"{code}.".startswith(prefixes) for code in codes)
            for codes in set(codes_per_mark)
        }
        mask &= np.fromiter(map(verdicts.__getitem__, codes_per_mark), np.bool_, len(rows))
    for condition in where:
        texts = _texts(rows, condition.column)
        passing = {text: condition.holds(text) for text in set(texts)}
        mask &= np.fromiter(map(passing.__getitem__, texts), np.bool_, len(rows))
    return mask


def _texts(rows: MarkTable, column: str) -> list[str]:
    """One column of the catalogue as text."""
    if column in _COLUMNS:
        return rows.column(column, str, "")
    if column == "vienna":
        return [";".join(codes) for codes in rows.column("vienna", tuple[str, ...], ())]
    extras: list[dict[str, str]] = rows.column("extra", dict[str, str], {})
    if not any(column in extra for extra in extras):
        known = sorted({*_COLUMNS, "vienna"}.union(*(extras[:1000])))
        raise InputError(
            f"--where: the catalogue has no column '{safe(column, 60)}'{nearest(column, known)}; "
            f"it has {safe(', '.join(known))}"
        )
    return [extra.get(column, "") for extra in extras]
