"""Rows of labels as marks that have no image yet, and the oddities counted on the way."""

from collections.abc import Iterable

from tmssl.data.cells import Row
from tmssl.data.sources.marks import Mark, MarkTable, mark_from_row
from tmssl.data.vienna import is_us_code, is_us_column, title


class Labels:
    """The marks of a labels file; `path` is what the label calls its image."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.bad_codes: list[str] = []
        self.us_codes: list[str] = []
        self.unknown_codes: list[str] = []
        self.bare_codes = 0
        """rows whose codes are a bare string"""
        self.code_lists = 0
        """rows whose codes are a list"""
        self.untitled = 0
        self.with_codes = 0
        self._us_columns: dict[str, bool] = {}
        self.marks = MarkTable.of(map(self._read, rows))

    def _read(self, row: Row) -> Mark:
        """The mark of a row; counts its oddities."""
        mark, unparsed = mark_from_row(row)
        for code in unparsed:
            (self.us_codes if is_us_code(code) else self.bad_codes).append(code)
        self.unknown_codes += [code for code in mark.vienna if not title(code)]
        cell = row.get("vienna")
        self.code_lists += isinstance(cell, list)
        self.bare_codes += isinstance(cell, str) and bool(cell.strip())
        self.untitled += not mark.title
        self.with_codes += bool(mark.vienna)
        self.us_codes += [text for name, text in mark.extra.items() if self._is_us_column(name)]
        return mark

    def _is_us_column(self, name: str) -> bool:
        if name not in self._us_columns:
            self._us_columns[name] = is_us_column(name)
        return self._us_columns[name]
