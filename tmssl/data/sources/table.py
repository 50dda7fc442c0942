"""Tables of labels as records: CSV, TSV, JSONL, JSON in L3D's form, Parquet, and registers in XML.

Rows are read one at a time, so that half a million of them are never all there as dictionaries.
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

from tmssl.data.sources.cells import Row, cell_text, column_name
from tmssl.data.sources.trademark_xml import read_register
from tmssl.errors import CatalogueError
from tmssl.text import nearest, safe

LABEL_FILES = ("labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet", "results.json")
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xml")
_YEARLY = re.compile(r"output_\d{4}\.json")
_MAX_FIELD = 1 << 20  # a longer CSV field is a missing quote
_BLOCK = 1 << 20  # letters of JSON read at once
_LONGEST = 1 << 24  # letters of one JSON item; more is no row
_BETWEEN = re.compile(r"[\s,]*")


def is_table(path: Path) -> bool:
    """Whether a file's suffix is one of a table."""
    return path.suffix.lower() in _SUFFIXES


def is_label_file(path: str) -> bool:
    """Whether a file among images may hold their labels."""
    name = path.rpartition("/")[2].lower()
    return name in LABEL_FILES or name.endswith(".xml") or _YEARLY.fullmatch(name) is not None


def choose_labels(paths: Iterable[str]) -> list[str]:
    """Of the label files among images, those that count.

    The ones nearest to the top; in each folder the first kind of `LABEL_FILES`, or L3D's one for
    each year. Where there is no such table, every XML file.
    """
    tables: dict[str, list[str]] = {}
    registers: list[str] = []
    for path in sorted(paths):
        if path.lower().endswith(".xml"):
            registers.append(path)
        else:
            tables.setdefault(path.rpartition("/")[0], []).append(path)
    depth = min(map(_depth, tables), default=0)
    chosen = [
        path for folder in tables if _depth(folder) == depth for path in _one_kind(tables[folder])
    ]
    return sorted(chosen) or registers


def _depth(folder: str) -> int:
    """How many folders lie above."""
    return folder.count("/") + 1 if folder else 0


def _one_kind(paths: list[str]) -> list[str]:
    """The first kind of labels file of one folder, or all its yearly ones."""
    for name in LABEL_FILES:
        found = [path for path in paths if path.rpartition("/")[2].lower() == name]
        if found:
            return found
    return paths


def read_table(name: str, file: BinaryIO) -> Iterator[Row]:
    """The rows of a table, one at a time; each has a non-empty `path`.

    Args:
        name: of the file; its suffix tells the kind, and messages name it.
        file: its bytes.

    Raises:
        CatalogueError: it cannot be read, has no `path` column, or has no rows.
    """
    found = False
    try:
        for record in _records(name, file):
            if "\0" in record["path"]:
                raise CatalogueError(
                    f"{safe(name)}: a path holds a NUL: {safe(record['path'], 60)}"
                )
            if record["path"]:
                found = True
                yield record
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"{safe(name)} is not UTF-8; save it as UTF-8 and try again"
        ) from error
    except (OSError, csv.Error, ValueError, RecursionError) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
    if not found and not name.lower().endswith(".xml"):
        raise CatalogueError(f"{safe(name)} has no rows; each should name an image in `path`")


def _records(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows by the kind of file, with the names of columns and `path` as we know them."""
    readers = {
        ".csv": _from_csv,
        ".tsv": _from_csv,
        ".parquet": _from_parquet,
        ".json": _from_l3d,
        ".xml": read_register,
    }
    first = True
    for row in readers.get(Path(name).suffix.lower(), _from_jsonl)(name, file):
        record = {column_name(column): value for column, value in row.items()}
        if first:
            _need_path(name, list(record))
            first = False
        record["path"] = cell_text(record.get("path"))
        yield record


def _need_path(name: str, columns: list[str]) -> None:
    """A table without `path` cannot name its images."""
    if "path" not in columns:
        shown = ", ".join(safe(column, 40) for column in columns[:8] if column.strip()) or "none"
        raise CatalogueError(
            f"{safe(name)} has no column 'path'{nearest('path', columns)}; it has {shown}; "
            "add a column with each image's path relative to the table"
        )


def _from_csv(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a CSV; the header tells whether commas, semicolons or tabs separate."""
    csv.field_size_limit(_MAX_FIELD)
    with _as_text(file) as text:
        header = text.readline()
        delimiter = max(",;\t", key=header.count)
        reader = csv.DictReader(itertools.chain([header], text), delimiter=delimiter)
        _need_path(name, [column_name(column) for column in reader.fieldnames or []])
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
    """A file's text, with or without a byte order mark; the file stays the caller's to close."""
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    try:
        yield text
    finally:
        text.detach()


def _from_jsonl(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a JSON Lines file."""
    with _as_text(file) as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise CatalogueError(
                    f"cannot read {safe(name)}, line {number}: {safe(error, 200)}"
                ) from error
            if not isinstance(record, dict):
                raise CatalogueError(f"{safe(name)}, line {number}: a row should be an object")
            yield record


def _from_l3d(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of L3D as published: a list of {file, text, vienna_codes, year}."""
    with _as_text(file) as text:
        for record in _items(name, text):
            if not isinstance(record, dict):
                raise _not_a_list(name)
            row = {column: value for column, value in record.items() if value is not None}
            row["path"] = row.pop("file", row.get("path", ""))
            row["vienna"] = row.pop("vienna_codes", row.get("vienna", ""))
            row["title"] = row.pop("text", row.get("title", ""))
            yield row


def _not_a_list(name: str) -> CatalogueError:
    """What is wrong with JSON of another form."""
    return CatalogueError(f"{safe(name)} should hold a list of objects, one for each image")


def _items(name: str, file: io.TextIOWrapper) -> Iterator[Any]:
    """The items of a JSON list, one at a time, for a few megabytes of memory.

    Raises:
        ValueError: an item is damaged, cut off or above 16 MiB.
    """
    decode = json.JSONDecoder().raw_decode
    text = file.read(_BLOCK).lstrip()
    if not text.startswith("["):
        raise _not_a_list(name)
    at = 1
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if text.startswith("]", at):
            return
        try:
            item, at = decode(text, at)
        except json.JSONDecodeError:
            block = file.read(_BLOCK)  # an item that only the end of the block cuts off
            if not block or len(text) - at > _LONGEST:
                raise
            text, at = text[at:] + block, 0
        else:
            yield item


def _from_parquet(name: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a Parquet file, which needs pyarrow."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CatalogueError(
            f"{safe(name)} is Parquet, which needs pyarrow: pip install 'tmssl[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.ParquetFile(file)
        _need_path(name, [column_name(column) for column in table.schema_arrow.names])
        for batch in table.iter_batches():
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
