"""Rows of labels as they were read, and what is odd about them."""

from collections.abc import Iterable

from tmssl.data.mark import Mark, mark_of
from tmssl.data.rows import Rows
from tmssl.data.table import Record
from tmssl.data.vienna import is_us_code, is_us_column, title


class Labels:
    """Rows of labels as marks, not yet joined to images, and what is odd about them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.bad: list[str] = []
        self.us: list[str] = []
        self.unknown: list[str] = []
        self.bare = self.lists = self.untitled = self.coded = 0
        self._foreign: dict[str, bool] = {}
        self.rows = Rows.of(map(self._taken, records))

    def _taken(self, record: Record) -> Mark:
        """One row, its oddities noted."""
        mark, unparsed = mark_of(record)
        for code in unparsed:
            (self.us if is_us_code(code) else self.bad).append(code)
        self.unknown += [code for code in mark.vienna if not title(code)]
        value = record.get("vienna")
        self.lists += isinstance(value, list)
        self.bare += isinstance(value, str) and bool(value.strip())
        self.untitled += not mark.title
        self.coded += bool(mark.vienna)
        for column, text in mark.extra.items():
            if column not in self._foreign:
                self._foreign[column] = is_us_column(column)
            if self._foreign[column]:
                self.us.append(text)
        return mark
