"""The filters of a search in Qdrant's words, with the meaning that they have for `tmssl search`.

Two numbers are compared as numbers, other text without regard to case. Qdrant looks for whole words within
text; pieces of three characters narrow the marks down there, and the text decides here.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tmssl.data.vienna import LEVELS, parse_code
from tmssl.errors import InputError
from tmssl.retrieval.qdrant.payload import PIECE, day_of, key_of, pieces
from tmssl.retrieval.search.filters import Condition, number_in
from tmssl.text import safe

if TYPE_CHECKING:
    from qdrant_client.models import FieldCondition, Filter, IsEmptyCondition


@dataclasses.dataclass(frozen=True)
class EngineFilter:
    """Which marks are compared."""

    wanted: "Filter"
    """what the server checks"""
    contained: tuple[tuple[str, str], ...] = ()
    """key and folded text: what the mark's column must contain, checked here"""

    def passes(self, payload: Mapping[str, Any]) -> bool:
        """Whether a mark that the server let through contains what it must."""
        folded = payload.get("folded") or {}
        return all(text in folded.get(key, "") for key, text in self.contained)


def engine_filter(vienna: Sequence[str], where: Sequence[Condition]) -> EngineFilter | None:
    """The filter of a search; None where there is none.

    Args:
        vienna: codes as printed, of which a mark must have one.
        where: conditions, all of which a mark must meet.

    Raises:
        InputError: a condition orders text, or looks for less than three characters within it, which
            Qdrant cannot; or a code does not parse.
    """
    from qdrant_client.models import FieldCondition, Filter, MatchAny

    filters = [_condition(condition) for condition in where]
    if vienna:
        codes = list(map(parse_code, vienna))
        having = (FieldCondition(key=level, match=MatchAny(any=codes)) for level in LEVELS)
        filters.append(Filter(should=[*having]))
    contained = [(key_of(c.column), c.value.casefold()) for c in where if c.sign == "~"]
    return EngineFilter(Filter(must=[*filters]), tuple(contained)) if filters else None


def _condition(condition: Condition) -> "Filter":
    """One condition as a filter."""
    from qdrant_client.models import Filter

    key, sign, value = key_of(condition.column), condition.sign, condition.value
    if sign in ("=", "!="):
        equal = _equal(key, value)
        return Filter(must=[equal]) if sign == "=" else Filter(must_not=[equal])
    if sign == "~":
        return Filter(must=[*_pieces_in(condition, key)])
    return Filter(must=[_ordered(condition, key)])


def _pieces_in(condition: Condition, key: str) -> "list[FieldCondition]":
    """That a column has every piece of a text."""
    from qdrant_client.models import FieldCondition, MatchValue

    text = condition.value.casefold()
    if len(text) < PIECE:
        raise InputError(
            f"--where is '{safe(condition.column, 60)}~{safe(condition.value, 60)}', and with Qdrant at least "
            f"{PIECE} characters can be looked for within text; give more, or search without --engine"
        )
    return [
        FieldCondition(key=f"pieces.{key}", match=MatchValue(value=piece)) for piece in pieces(text)
    ]


def _equal(key: str, value: str) -> "FieldCondition | IsEmptyCondition":
    """That a column has a value."""
    from qdrant_client.models import (
        FieldCondition,
        IsEmptyCondition,
        MatchValue,
        PayloadField,
        Range,
    )

    if not value:
        return IsEmptyCondition(is_empty=PayloadField(key=f"folded.{key}"))
    number = number_in(value)
    if number is not None:
        return FieldCondition(key=f"number.{key}", range=Range(gte=number, lte=number))
    return FieldCondition(key=f"folded.{key}", match=MatchValue(value=value.casefold()))


def _ordered(condition: Condition, key: str) -> "FieldCondition":
    """That a column is above or below a number or a date."""
    from qdrant_client.models import FieldCondition, Range

    number, day = number_in(condition.value), day_of(condition.value)
    limit, place = (number, "number") if number is not None else (day, "day")
    if limit is None:
        raise InputError(
            f"--where is '{safe(condition.column, 60)}{condition.sign}{safe(condition.value, 60)}', and Qdrant "
            "orders only numbers and dates such as 2026-11-01; use = or ~, or search without --engine"
        )
    bound = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}[condition.sign]
    return FieldCondition(key=f"{place}.{key}", range=Range(**{bound: float(limit)}))
