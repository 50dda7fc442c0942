"""Rows of labels as marks that have no image yet, and the oddities counted on the way."""

from collections import Counter
from collections.abc import Iterable, Iterator

from tmssl.data.cells import NUMBERS, Row, is_missing, whole_text
from tmssl.data.sources.marks import Mark, MarkTable, mark_from_row
from tmssl.data.tables.limits import MAX_ROWS, MAX_TEXT
from tmssl.data.vienna import is_lossy_number, is_us_code, is_us_column, title
from tmssl.errors import CatalogueError
from tmssl.text import count, safe

MAX_EXTRA = 1 << 14  # characters of a further cell; a longer one is no label
_SHOWN = 200  # characters kept of a code that does not parse


class Labels:
    """The marks of a labels file; `path` is what the label calls its image."""

    def __init__(self, rows: Iterable[Row], notes: list[str]) -> None:
        """Read all rows.

        Args:
            rows: of tables or registers.
            notes: what their readers tell as they go; it is kept.

        Raises:
            CatalogueError: there are more rows, more text or more codes that do not parse than fit in memory.
        """
        self.notes = notes
        """a sentence on everything that was taken for something, and why"""
        self.rows = 0
        """rows read, with and without a path"""
        self.pathless = 0
        """rows that name no image"""
        self.bad_codes: list[str] = []
        self.number_codes: list[str] = []
        self.us_codes: list[str] = []
        self.unknown_codes: list[str] = []
        self.bare_codes = 0
        """rows whose codes are a bare string"""
        self.code_lists = 0
        """rows whose codes are a list"""
        self.one_code = bytearray()
        """for each mark, whether its row holds one code at most, as a table with a row for each code does"""
        self.numbers: dict[int, dict[str, str]] = {}
        """row of a mark of a register to the kinds of its numbers, and these"""
        self.untitled = 0
        self.with_codes = 0
        self._text = 0  # bytes of all marks, about
        self._us_columns: dict[str, bool] = {}
        self._long_cells: Counter[str] = Counter()
        self.marks = MarkTable.of(self._read_all(rows))
        self._note_long_cells()

    def _note_long_cells(self) -> None:
        """Tell of each further column with cells too long to keep."""
        self.notes += [
            f"{count(cells, 'cell')} above {MAX_EXTRA:,} characters left out of the column "
            f"'{safe(column, 60)}'"
            for column, cells in self._long_cells.items()
        ]

    def _read_all(self, rows: Iterable[Row]) -> Iterator[Mark]:
        """The marks of the rows that name an image."""
        for row in rows:
            self.rows += 1
            if is_missing(row["path"]):
                self.pathless += 1
            else:
                mark = self._read(row)
                self._text += _length(mark)
                yield mark
            self._check_size()

    def _check_size(self) -> None:
        """Refuse a source that would fill all memory."""
        if self.rows > MAX_ROWS:
            raise CatalogueError(
                f"the labels have more than {MAX_ROWS:,} rows; give a part of them"
            )
        if self._text > MAX_TEXT:
            raise CatalogueError(
                f"the labels have more than {MAX_TEXT:,} bytes of text in {count(self.rows, 'row')}; "
                "leave out the columns that are no labels"
            )
        if len(self.bad_codes) + len(self.number_codes) + len(self.us_codes) > MAX_ROWS:
            raise CatalogueError(
                f"the labels have more than {MAX_ROWS:,} Vienna codes that do not parse; codes look like "
                "26.01.03, separated by semicolons"
            )

    def _read(self, row: Row) -> Mark:
        """The mark of a row; counts its oddities."""
        if numbers := row.pop(NUMBERS, None):
            self.numbers[len(self.one_code)] = numbers
        self._drop_long_cells(row)
        mark, unparsed = mark_from_row(row)
        self.one_code.append(len(mark.vienna) + len(unparsed) <= 1)
        for code in unparsed:
            if is_lossy_number(code):
                self.number_codes.append(code[:_SHOWN])
            else:
                (self.us_codes if is_us_code(code) else self.bad_codes).append(code[:_SHOWN])
        self.unknown_codes += [code for code in mark.vienna if not title(code)]
        cell = row.get("vienna")
        self.code_lists += isinstance(cell, list)
        self.bare_codes += isinstance(cell, str) and bool(cell.strip())
        self.untitled += not mark.title
        self.with_codes += bool(mark.vienna)
        self.us_codes += [text for name, text in mark.extra.items() if self._is_us_column(name)]
        return mark

    def _drop_long_cells(self, row: Row) -> None:
        """Remove cells that are no label, such as an image as text or the features of one as a list."""
        for name, cell in row.items():
            if name in ("path", "vienna"):
                continue
            if isinstance(cell, str | bytes):
                length = len(cell)
            elif isinstance(cell, list | dict):
                length = len(whole_text(cell)) if len(cell) <= MAX_EXTRA else len(cell)
            else:
                continue
            if length > MAX_EXTRA:
                self._long_cells[name] += 1
                row[name] = None

    def _is_us_column(self, name: str) -> bool:
        if name not in self._us_columns:
            self._us_columns[name] = is_us_column(name)
        return self._us_columns[name]


def _length(mark: Mark) -> int:
    """Characters of a mark, about."""
    further = sum(len(name) + len(text) for name, text in mark.extra.items())
    texts = (mark.path, mark.id, mark.group, mark.split, mark.title, mark.url)
    return sum(map(len, texts)) + 10 * len(mark.vienna) + further
