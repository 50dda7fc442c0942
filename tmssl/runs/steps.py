"""The logged steps of a run as columns, so that a million of them fit in memory."""

import bisect
import math
import operator
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import overload

from tmssl.runs.events import Step

FIELDS = tuple(name for name in Step.__struct_fields__ if name != "step")
_NOT_MEASURED = math.nan
_REQUIRED = ("epoch", "t")  # the fields that are never None
_values = operator.attrgetter(*FIELDS)


class Steps(Sequence[Step]):
    """Steps in ascending order, stored as one array for each field; reads like a list of `Step`.

    A step takes 152 bytes, an event about 600. A figure that was not measured or not finite is NaN in
    its column and None in the `Step`.
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.cuts = 0
        """how often steps were removed; while it is the same, copies of the columns remain valid"""
        self._numbers = array("q")
        self._columns = {name: array("d") for name in FIELDS}
        self.take(list(steps))

    @property
    def numbers(self) -> "array[int]":
        """The step numbers, ascending; read-only.

        Another thread copies it with one slice, and copies again if `cuts` has changed meanwhile.
        """
        return self._numbers

    def column(self, name: str) -> "array[float]":
        """One field of all steps, NaN where it was not measured; read it as `numbers`.

        Raises:
            KeyError: a step has no such field.
        """
        return self._columns[name]

    def take(self, steps: Sequence[Step]) -> None:
        """Append steps; one with an earlier number replaces that step and all after it."""
        numbers = [step.step for step in steps]
        rising = all(before < after for before, after in pairwise(numbers))
        if rising and (not self._numbers or not numbers or numbers[0] > self._numbers[-1]):
            self._extend(numbers, steps)
            return
        for number, step in zip(numbers, steps, strict=True):
            self.cut(number)
            self._extend([number], [step])

    def _extend(self, numbers: list[int], steps: Sequence[Step]) -> None:
        if not steps:
            return
        for name, values in zip(FIELDS, zip(*map(_values, steps), strict=True), strict=True):
            column = self._columns[name]
            begin = len(column)
            try:
                column.extend(values)
            except TypeError:  # a None among them; checking first would cost more than it saves
                del column[begin:]
                column.extend([_NOT_MEASURED if value is None else value for value in values])
        self._numbers.extend(
            numbers
        )  # last, so that another thread finds every column at least as long

    def cut(self, step: int) -> None:
        """Remove the steps at or after `step`."""
        if not self._numbers or self._numbers[-1] < step:
            return
        place = bisect.bisect_left(self._numbers, step)
        self.cuts += 1
        del self._numbers[place:]
        for column in self._columns.values():
            del column[place:]

    def between(self, start: int, end: int | None) -> "Steps":
        """The steps after number `start`, up to and including `end`."""
        low = bisect.bisect_right(self._numbers, start)
        return self[low : len(self) if end is None else bisect.bisect_right(self._numbers, end)]

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, place: int) -> Step: ...

    @overload
    def __getitem__(self, place: slice) -> "Steps": ...

    def __getitem__(self, place: int | slice) -> "Step | Steps":
        if isinstance(place, slice):
            part = Steps()
            part._numbers = self._numbers[place]
            part._columns = {name: column[place] for name, column in self._columns.items()}
            return part
        fields = {
            name: value if name in _REQUIRED or not math.isnan(value) else None
            for name, column in self._columns.items()
            for value in (column[place],)
        }
        return Step(step=self._numbers[place], **fields)  # type: ignore[arg-type]  # None only in optional fields

    def __iter__(self) -> Iterator[Step]:
        return (self[place] for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable
