"""Reading CSV in the forms that spreadsheets, databases and scripts write: any separator, any Unicode."""

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from tmssl.data.cells import Row, column_name
from tmssl.data.tables.columns import refuse_doubles, require_path
from tmssl.data.tables.limits import MAX_LINE, bounded_lines, line_error
from tmssl.errors import CatalogueError
from tmssl.text import count, pasted, safe

_MAX_FIELD = 1 << 20  # a longer CSV field has a missing quote
_HEAD_LINES = 30  # lines in which the header may be
_SEPARATORS = ",;\t|"
_BLANKS = f'{_SEPARATORS}"\ufeff\r\n '
_EXCEL_HINT = re.compile(r"\"?sep=([^\w\"\r\n])\"?\s*", re.IGNORECASE)
_WORKBOOKS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers")
_WORKBOOK_STARTS = (b"PK\3\4", b"\xd0\xcf\x11\xe0")  # of a zip, of an OLE container
_ENCODINGS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_csv(
    name: str, file: BinaryIO, asked: Mapping[str, list[str]], notes: list[str]
) -> Iterator[Row]:
    """Rows of a CSV; cells under one header are a list.

    The header is the first line that names the column of the path; what precedes it is left out. The
    separator is `sep=` of Excel, else the one of comma, semicolon, tab and `|` that finds that column.

    Args:
        name: of the file, for messages.
        file: its bytes, in UTF-8, UTF-16 or UTF-32.
        asked: meaning to columns, as by `parse_columns`.
        notes: takes a sentence on each thing that a reader of the report should know.

    Raises:
        CatalogueError: a row has more cells than the header, a quote is never closed, a column with a
            meaning is there twice, or there are no rows and no path.
    """
    csv.field_size_limit(_MAX_FIELD)
    with as_text(name, file, notes) as text:
        whole = bounded_lines(name, text)
        head = list(_first_lines(whole))
        row, separator = _find_header(head, asked, notes)
        lines = _Lines(itertools.chain(head[row:], whole), name, row)
        reader = csv.reader(lines, delimiter=separator)
        columns = next(reader, [])
        refuse_doubles(name, map(column_name, columns))
        end, empty = row + reader.line_num, True
        for cells in reader:
            if lines.ended:
                raise CatalogueError(
                    f"{safe(name)}, line {end + 1}: a double quote is never closed; close it, or write "
                    "it twice where it belongs to the text"
                )
            end = row + reader.line_num
            lines.row_length = 0
            if any(cells[len(columns) :]):
                raise CatalogueError(
                    f"{safe(name)}, line {end}: more cells than the header has columns; "
                    "put a cell that holds a separator in double quotes"
                )
            if any(cells):
                empty = False
                yield _row(columns, cells)
        if empty:
            require_path(name, columns, asked)


def _first_lines(lines: Iterator[str]) -> Iterator[str]:
    """The lines in which the header may be; fewer where they are long."""
    length = 0
    for line in itertools.islice(lines, _HEAD_LINES):
        yield line
        length += len(line)
        if length > MAX_LINE:
            return


class _Lines:
    """The lines of a text, whether they have ended, and how long the row is that they are of."""

    def __init__(self, lines: Iterator[str], name: str, before: int) -> None:
        self._lines, self._name, self._number = lines, name, before
        self.ended = False
        self.row_length = 0
        """characters of the lines of the open row; who reads the rows sets it back"""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except StopIteration:
            self.ended = True
            raise
        self._number += 1
        self.row_length += len(line)
        if self.row_length > MAX_LINE:
            raise line_error(self._name, self._number)
        return line


def _row(columns: list[str], cells: list[str]) -> Row:
    """Cells under their columns; columns of one name give a list."""
    row: Row = {}
    for column, cell in zip(columns, cells, strict=False):
        if column in row:
            earlier = row[column]
            row[column] = [*(earlier if isinstance(earlier, list) else [earlier]), cell]
        else:
            row[column] = cell
    return row


def _find_header(
    head: list[str], asked: Mapping[str, list[str]], notes: list[str]
) -> tuple[int, str]:
    """The row of the header among the first lines, which loses the mark of a comment, and its separator.

    Where no line names the path, the header is the first line with a letter.
    """
    wanted = asked.get("path", ["path"])[0]
    told = ""
    before: list[int] = []
    for row, line in enumerate(head):
        if hint := _EXCEL_HINT.fullmatch(line.strip("\r\n\ufeff")):
            told = hint[1]
            notes.append(f"its cells are separated by '{safe(told)}', as its line sep= tells")
        elif line.strip(_BLANKS):
            header, separator = _as_header(line, wanted, told)
            if separator:
                head[row] = header
                _note_lines_before([head[row] for row in before], notes)
                return row, separator
            before.append(row)
    row = before[0] if before else 0
    line = head[row] if head else ""
    return row, told or max(_SEPARATORS, key=line.count)


def _note_lines_before(lines: list[str], notes: list[str]) -> None:
    """Tell of lines with words before the header."""
    if lines:
        notes.append(
            f"{count(len(lines), 'line')} before its header left out, such as "
            f"'{safe(lines[0].strip(_BLANKS), 40)}'"
        )


def _as_header(line: str, wanted: str, told: str) -> tuple[str, str]:
    """A line without the mark of a comment, and the separator by which it names `wanted`, or nothing."""
    for text in (line, line.lstrip("\ufeff# ")):
        found: dict[str, int] = {}
        for separator in told or _SEPARATORS:
            names = next(csv.reader([text], delimiter=separator), [])
            if wanted.casefold() in (column_name(name).casefold() for name in names):
                found[separator] = len(names)
        if found:
            return text, max(found, key=lambda separator: found[separator])
    return line, ""


@contextlib.contextmanager
def as_text(name: str, file: BinaryIO, notes: list[str]) -> Iterator[io.TextIOWrapper]:
    """A file as text, of the encoding that its first bytes tell; the caller closes the file.

    Raises:
        CatalogueError: it is a workbook.
        UnicodeDecodeError: later, on text that is not in that encoding.
    """
    buffered = io.BufferedReader(file)  # type: ignore[type-var]  # a BinaryIO reads like a raw file
    first = buffered.peek(4)[:4]
    if first in _WORKBOOK_STARTS:
        raise workbook_error(name)
    encoding = _encoding(first)
    if encoding != "utf-8-sig":
        notes.append(f"read as {encoding.upper()}, as its first bytes tell")
    text = io.TextIOWrapper(buffered, encoding, newline="")
    try:
        yield text
    finally:
        text.detach()
        buffered.detach()


def is_workbook(name: str) -> bool:
    """Whether a file has the suffix of a workbook of a spreadsheet program."""
    return name.lower().endswith(_WORKBOOKS)


def workbook_error(name: str) -> CatalogueError:
    """The error of a workbook, with the one-line way to a table."""
    return CatalogueError(
        f"{safe(name)} is a workbook, which is not read; make a CSV of it with its codes as text: "
        f"libreoffice --headless --convert-to csv {pasted(name)}"
    )


def _encoding(first: bytes) -> str:
    """The encoding of text by its byte order mark, or by the zeros beside its first letters."""
    for mark, encoding in _ENCODINGS:
        if first.startswith(mark):
            return encoding
    if len(first) == 4 and first[1] == first[3] == 0 and first[0] and first[2]:
        return "utf-16-le"
    if len(first) == 4 and first[0] == first[2] == 0 and first[1] and first[3]:
        return "utf-16-be"
    return "utf-8-sig"
