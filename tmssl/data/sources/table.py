"""Reading tables of labels as rows: CSV, TSV, JSONL, L3D's JSON, Parquet, and registers in XML.

Rows are yielded one at a time: half a million dictionaries would take gigabytes.
"""

import contextlib
import csv
import io
import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tmssl.data.cells import Row, cell_text, column_name
from tmssl.data.sources.trademark_xml import read_register
from tmssl.errors import CatalogueError
from tmssl.text import nearest, safe

LABEL_FILES = ("labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet", "results.json")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xml")
_YEARLY = re.compile(r"output_\d{4}\.json")
_MAX_FIELD = 1 << 20  # a longer CSV field has a missing quote
_BLOCK = 1 << 20  # characters of JSON read at once
_MAX_ITEM = 1 << 24  # characters of one JSON item
_JSON_SEPARATORS = re.compile(r"[\s,]*")


def is_table(path: Path) -> bool:
    """Whether a file has the suffix of a table."""
    return path.suffix.lower() in _SUFFIXES


def is_label_file(path: str) -> bool:
    """Whether a file among images may hold their labels."""
    name = path.rpartition("/")[2].lower()
    return name in LABEL_FILES or name.endswith(".xml") or _YEARLY.fullmatch(name) is not None


def choose_labels(paths: Iterable[str]) -> list[str]:
    """The label files to read, out of all those among images.

    These are the tables nearest to the top; in each folder the first kind of `LABEL_FILES`, or L3D's
    file for each year. Where there are no tables, these are all XML files.
    """
    tables: dict[str, list[str]] = {}
    registers: list[str] = []
    for path in sorted(paths):
        if path.lower().endswith(".xml"):
            registers.append(path)
        else:
            tables.setdefault(path.rpartition("/")[0], []).append(path)
    top = min(map(_depth, tables), default=0)
    chosen = [_first_kind(paths) for folder, paths in tables.items() if _depth(folder) == top]
    return sorted(itertools.chain(*chosen)) or registers


def _depth(folder: str) -> int:
    """Number of folders in a path."""
    return folder.count("/") + 1 if folder else 0


def _first_kind(paths: list[str]) -> list[str]:
    """The first kind of label file of one folder, or all its yearly ones."""
    for kind in LABEL_FILES:
        of_kind = [path for path in paths if path.rpartition("/")[2].lower() == kind]
        if of_kind:
            return of_kind
    return paths


def read_table(name: str, file: BinaryIO) -> Iterator[Row]:
    """The rows of a table, one at a time; each has a non-empty `path`.

    Args:
        name: of the file, for messages; its suffix is the format.
        file: its bytes.

    Raises:
        CatalogueError: it cannot be read, has no `path` column, or has no rows.
    """
    empty = True
    try:
        for row in _read_rows(name, file):
            if "\0" in row["path"]:
                raise CatalogueError(f"{safe(name)}: a path holds a NUL: {safe(row['path'], 60)}")
            if row["path"]:
                empty = False
                yield row
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"{safe(name)} is not UTF-8; save it as UTF-8 and try again"
        ) from error
    except (OSError, csv.Error, ValueError, RecursionError) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
    if empty and not name.lower().endswith(".xml"):
        raise CatalogueError(f"{safe(name)} has no rows; each should name an image in `path`")


def _read_rows(name: str, file: BinaryIO) -> Iterator[Row]:
    """The rows of a file of any format, with canonical column names and `path` as text."""
    read = _READERS.get(Path(name).suffix.lower(), _read_jsonl)
    for number, cells in enumerate(read(name, file)):
        row = {column_name(column): cell for column, cell in cells.items()}
        if number == 0:
            _require_path(name, list(row))
        row["path"] = cell_text(row.get("path"))
        yield row


def _require_path(name: str, columns: list[str]) -> None:
    """Refuse a table without a `path` column, as it names no images."""
    if "path" not in columns:
        shown = ", ".join(safe(column, 40) for column in columns[:8] if column.strip()) or "none"
        raise CatalogueError(
            f"{safe(name)} has no column 'path'{nearest('path', columns)}; it has {shown}; "
            "add a column with each image's path relative to the table"
        )


def _read_csv(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a CSV, separated by whichever of comma, semicolon and tab its header has most."""
    csv.field_size_limit(_MAX_FIELD)
    with _as_text(file) as text:
        header = text.readline()
        delimiter = max(",;\t", key=header.count)
        reader = csv.DictReader(itertools.chain([header], text), delimiter=delimiter)
        _require_path(name, [column_name(column) for column in reader.fieldnames or []])
        for row in reader:
            surplus = row.pop(None, None)  # cells beyond the header
            if surplus and any(surplus):
                raise CatalogueError(
                    f"{safe(name)}, line {reader.line_num}: more cells than the header has columns; "
                    "put a cell that holds a separator in double quotes"
                )
            yield row


@contextlib.contextmanager
def _as_text(file: BinaryIO) -> Iterator[io.TextIOWrapper]:
    """A file as UTF-8 text, with or without a byte order mark; the caller closes the file."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()


def _read_jsonl(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a JSON Lines file."""
    with _as_text(file) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise CatalogueError(
                    f"cannot read {safe(name)}, line {number}: {safe(error, 200)}"
                ) from error
            if not isinstance(row, dict):
                raise CatalogueError(f"{safe(name)}, line {number}: a row should be an object")
            yield row


def _read_l3d(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of L3D as published: a list of {file, text, vienna_codes, year}."""
    with _as_text(file) as text:
        for item in _iter_items(name, text):
            if not isinstance(item, dict):
                raise _not_a_list(name)
            row = {column: cell for column, cell in item.items() if cell is not None}
            row["path"] = row.pop("file", row.get("path", ""))
            row["vienna"] = row.pop("vienna_codes", row.get("vienna", ""))
            row["title"] = row.pop("text", row.get("title", ""))
            yield row


def _not_a_list(name: str) -> CatalogueError:
    """The error of JSON in another form."""
    return CatalogueError(f"{safe(name)} should hold a list of objects, one for each image")


def _iter_items(name: str, file: io.TextIOWrapper) -> Iterator[Any]:
    """The items of a JSON list, one at a time, in a few megabytes of memory."""
    decode = json.JSONDecoder().raw_decode
    text = file.read(_BLOCK).lstrip()
    if not text.startswith("["):
        raise _not_a_list(name)
    position = 1
    while True:
        separators = _JSON_SEPARATORS.match(text, position)
        position = separators.end() if separators else position
        if text.startswith("]", position):
            return
        try:
            item, position = decode(text, position)
        except json.JSONDecodeError:
            block = file.read(_BLOCK)  # the item may only be cut off by the end of the block
            if not block or len(text) - position > _MAX_ITEM:
                raise
            text, position = text[position:] + block, 0
        else:
            yield item


def _read_parquet(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a Parquet file, which needs pyarrow."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CatalogueError(
            f"{safe(name)} is Parquet, which needs pyarrow: pip install 'tmssl[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        _require_path(name, [column_name(column) for column in table.schema_arrow.names])
        for batch in table.iter_batches():
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error


_READERS = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".json": _read_l3d,
    ".xml": read_register,
}
