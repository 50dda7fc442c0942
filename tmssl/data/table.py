"""Tables of labels as records: CSV, TSV, JSONL, JSON in L3D's form, and Parquet."""

import csv
import functools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tmssl.errors import CatalogueError
from tmssl.text import nearest, safe

Record = dict[str, Any]

LABEL_FILES = ("labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet", "results.json")
_COLUMNS = frozenset({"path", "id", "vienna", "group", "split", "title", "url"})
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
_MAX_FIELD = 1 << 20  # a longer CSV field is a missing quote


def is_table(path: Path) -> bool:
    """Whether a file's suffix is one of a table."""
    return path.suffix.lower() in _SUFFIXES


def labels_inside(folder: Path) -> list[Path]:
    """The labels file of a folder, or L3D's one for each year, or none."""
    for name in LABEL_FILES:
        if (folder / name).is_file():
            return [folder / name]
    return sorted(folder.glob("output_[0-9][0-9][0-9][0-9].json"))


def text_of(value: object) -> str:
    """A field as text: empty for null and NaN, without surrounding blanks, encodable as UTF-8."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    text = str(value).strip()
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


@functools.lru_cache(maxsize=1024)
def _column(name: str) -> str:
    """A column's name; those with a meaning are known in any case and with blanks around them."""
    plain = str(name).strip()
    return plain.lower() if plain.lower() in _COLUMNS else plain


def read_table(path: Path) -> list[Record]:
    """The rows of a table; each has a non-empty `path`.

    Raises:
        CatalogueError: it cannot be read, has no `path` column, or has no rows.
    """
    try:
        records = [record for record in _records(path) if record["path"]]
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"{safe(path)} is not UTF-8; save it as UTF-8 and try again"
        ) from error
    except (OSError, csv.Error, ValueError, RecursionError) as error:
        raise CatalogueError(f"cannot read {safe(path)}: {safe(error, 200)}") from error
    if not records:
        raise CatalogueError(f"{safe(path)} has no rows; each should name an image in `path`")
    for record in records:
        if "\0" in record["path"]:
            raise CatalogueError(f"{safe(path)}: a path holds a NUL: {safe(record['path'], 60)}")
    return records


def _records(path: Path) -> Iterator[Record]:
    """Rows by the kind of file, with the names of columns and `path` as we know them."""
    kind = path.suffix.lower()
    readers = {".csv": _from_csv, ".tsv": _from_csv, ".parquet": _from_parquet, ".json": _from_l3d}
    first = True
    for row in readers.get(kind, _from_jsonl)(path):
        record = {_column(name): value for name, value in row.items()}
        if first:
            _need_path(path, list(record))
            first = False
        record["path"] = text_of(record.get("path"))
        yield record


def _need_path(path: Path, columns: list[str]) -> None:
    """A table without `path` cannot name its images."""
    if "path" not in columns:
        shown = ", ".join(safe(column, 40) for column in columns[:8])
        raise CatalogueError(
            f"{safe(path)} has no column 'path'{nearest('path', columns)}; it has {shown}; "
            "add a column with each image's path relative to the table"
        )


def _from_csv(path: Path) -> Iterator[Record]:
    """Rows of a CSV; the header tells whether commas, semicolons or tabs separate."""
    csv.field_size_limit(_MAX_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=header.count)
        reader = csv.DictReader(file, delimiter=delimiter)
        _need_path(path, [_column(name) for name in reader.fieldnames or []])
        for row in reader:
            row.pop(None, None)  # cells beyond the header
            yield row


def _from_jsonl(path: Path) -> Iterator[Record]:
    """Rows of a JSON Lines file."""
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except json.JSONDecodeError as error:
                raise CatalogueError(
                    f"cannot read {safe(path)}, line {number}: {safe(error, 200)}"
                ) from error
            if not isinstance(record, dict):
                raise CatalogueError(f"{safe(path)}, line {number}: a row should be an object")
            yield record


def _from_l3d(path: Path) -> Iterator[Record]:
    """Rows of L3D as published: a list of {file, text, vienna_codes, year}."""
    records = json.loads(path.read_text("utf-8-sig"))
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise CatalogueError(f"{safe(path)} should hold a list of objects, one for each image")
    for record in records:
        row = {name: value for name, value in record.items() if value is not None}
        row["path"] = row.pop("file", row.get("path", ""))
        row["vienna"] = row.pop("vienna_codes", row.get("vienna", ""))
        row["title"] = row.pop("text", row.get("title", ""))
        yield row


def _from_parquet(path: Path) -> Iterator[Record]:
    """Rows of a Parquet file, which needs pyarrow."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CatalogueError(
            f"{safe(path)} is Parquet, which needs pyarrow: pip install 'tmssl[parquet]'"
        ) from error
    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise CatalogueError(f"cannot read {safe(path)}: {safe(error, 200)}") from error
    _need_path(path, [_column(name) for name in table.column_names])
    yield from table.to_pylist()
