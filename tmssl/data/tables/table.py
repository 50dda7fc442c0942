"""Reading tables of labels as rows: CSV, TSV, JSONL, L3D's JSON, Parquet, and registers in XML.

Rows are yielded one at a time: half a million dictionaries would take gigabytes.
"""

import csv
import io
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from tmssl.data.cells import Row, whole_text
from tmssl.data.tables.columns import with_meanings
from tmssl.data.tables.csv_table import as_text, read_csv
from tmssl.data.tables.limits import (
    MAX_LINE,
    MAX_WHOLE,
    BoundedGzip,
    bounded_lines,
    whole_number,
)
from tmssl.data.tables.parquet import read_parquet
from tmssl.data.tables.trademark_xml import read_register
from tmssl.errors import CatalogueError
from tmssl.text import safe

LABEL_FILES = ("labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet", "results.json")
HUB_FILES = (
    "metadata.csv",
    "metadata.jsonl",
    "metadata.parquet",
)  # of Hugging Face's image folders
_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".xml")
_YEARLY = re.compile(r"output_\d{4}\.json")
_PACKED = ".gz"
_L3D_NAMES = {"file": "path", "vienna_codes": "vienna", "text": "title"}
_BLOCK = 1 << 20  # characters of JSON read at once
_JSON_SEPARATORS = re.compile(r"[\s,]*")


def is_table(path: Path) -> bool:
    """Whether a file has the suffix of a table."""
    return _plain_name(path.name).endswith(_SUFFIXES)


def is_plain_table(path: str) -> bool:
    """Whether a file has the suffix of rows and columns; JSON and XML may hold anything."""
    return _plain_name(path).endswith((".csv", ".tsv", ".jsonl", ".parquet"))


def is_register(path: str) -> bool:
    """Whether a file has the suffix of a register in XML."""
    return _plain_name(path).endswith(".xml")


def _plain_name(name: str) -> str:
    """A file name in lower case, without the suffix of gzip."""
    return name.lower().removesuffix(_PACKED)


def is_label_file(path: str) -> bool:
    """Whether a file among images may hold their labels."""
    name = _plain_name(path.rpartition("/")[2])
    return (
        name in (*LABEL_FILES, *HUB_FILES)
        or name.endswith(".xml")
        or _YEARLY.fullmatch(name) is not None
    )


def choose_labels(paths: Iterable[str]) -> list[str]:
    """The label files to read, out of all those among images.

    These are the tables nearest to the top; in each folder the first kind of `LABEL_FILES`, or L3D's
    file for each year. Where there are no tables, these are all XML files; else the metadata of an
    image folder, a name that many files have which label nothing.
    """
    tables: dict[str, list[str]] = {}
    metadata: dict[str, list[str]] = {}
    registers: list[str] = []
    for path in sorted(paths):
        if is_register(path):
            registers.append(path)
        else:
            of_kind = metadata if is_metadata(path) else tables
            of_kind.setdefault(path.rpartition("/")[0], []).append(path)
    return _nearest(tables) or registers or _nearest(metadata)


def is_metadata(path: str) -> bool:
    """Whether a file has the name of the metadata of Hugging Face's image folders."""
    return _plain_name(path.rpartition("/")[2]) in HUB_FILES


def _nearest(tables: dict[str, list[str]]) -> list[str]:
    """The tables nearest to the top, the first kind of each folder."""
    top = min(map(_depth, tables), default=0)
    chosen = [_first_kind(paths) for folder, paths in tables.items() if _depth(folder) == top]
    return sorted(itertools.chain(*chosen))


def _depth(folder: str) -> int:
    """Number of folders in a path."""
    return folder.count("/") + 1 if folder else 0


def _first_kind(paths: list[str]) -> list[str]:
    """The first kind of label file of one folder, or all its yearly ones."""
    kinds = (*LABEL_FILES, *HUB_FILES)
    for kind in (*kinds, *(kind + _PACKED for kind in kinds)):
        of_kind = [path for path in paths if path.rpartition("/")[2].lower() == kind]
        if of_kind:
            return of_kind
    return paths


def read_table(
    name: str,
    file: BinaryIO,
    columns: Mapping[str, list[str]] | None = None,
    notes: list[str] | None = None,
) -> Iterator[Row]:
    """The rows of a table, one at a time; each has a `path` as it is written, which may be empty.

    Args:
        name: of the file, for messages; its suffix is the format.
        file: its bytes.
        columns: meaning to the names of its columns, as by `parse_columns`.
        notes: takes a sentence on everything that was taken for something, and why.

    Raises:
        CatalogueError: it cannot be read, has no `path` column, or has no rows.
    """
    empty = True
    told: list[str] = []
    try:
        for row in _read_rows(name, file, columns or {}, told):
            row["path"] = whole_text(row.get("path"))
            if "\0" in row["path"]:
                raise CatalogueError(f"{safe(name)}: a path holds a NUL: {safe(row['path'], 60)}")
            empty = False
            yield row
    except UnicodeDecodeError as error:
        raise CatalogueError(
            f"{safe(name)} is not {error.encoding.upper()}; save it as UTF-8 and try again"
        ) from error
    except (OSError, csv.Error, ValueError, RecursionError, EOFError, zlib.error) as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error
    if notes is not None:
        notes += [f"{safe(name.rpartition('/')[2])}: {note}" for note in told]
    if empty and not is_register(name):
        raise CatalogueError(f"{safe(name)} has no rows; each should name an image in `path`")


def _read_rows(
    name: str, file: BinaryIO, columns: Mapping[str, list[str]], notes: list[str]
) -> Iterator[Row]:
    """The rows of a file of any format, under the names of `COLUMNS`."""
    plain, suffix = file, Path(_plain_name(name)).suffix
    if name.lower().endswith(_PACKED):
        plain = BoundedGzip(name, file)  # type: ignore[assignment,arg-type]  # it reads like one
        notes.append("unpacked by gzip, as its suffix tells")
    if suffix == ".xml":
        yield from read_register(name, plain)
        return
    if suffix in (".csv", ".tsv"):
        rows = read_csv(name, plain, columns, notes)
    elif suffix == ".parquet":
        rows = read_parquet(name, plain if plain is file else _whole(name, plain))
    elif suffix == ".json":
        rows = _read_l3d(name, plain, columns, notes)
    else:
        rows = _read_jsonl(name, plain, notes)
    yield from with_meanings(name, rows, columns, notes)


def _whole(name: str, file: BinaryIO) -> BinaryIO:
    """A file that is read back and forth, which packed bytes are not."""
    data = file.read(MAX_WHOLE + 1)
    if len(data) > MAX_WHOLE:
        raise CatalogueError(f"{safe(name)} has more than {MAX_WHOLE:,} bytes; unpack it first")
    return io.BytesIO(data)


def _read_jsonl(name: str, file: BinaryIO, notes: list[str]) -> Iterator[Row]:
    """Rows of a JSON Lines file."""
    with as_text(name, file, notes) as text:
        for number, line in enumerate(bounded_lines(name, text), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, parse_int=whole_number)
            except (ValueError, RecursionError) as error:
                raise CatalogueError(
                    f"cannot read {safe(name)}, line {number}: {safe(error, 200)}"
                ) from error
            if not isinstance(row, dict):
                raise CatalogueError(f"{safe(name)}, line {number}: a row should be an object")
            yield row


def _read_l3d(
    name: str, file: BinaryIO, columns: Mapping[str, list[str]], notes: list[str]
) -> Iterator[Row]:
    """Rows of a JSON list of objects; L3D's own names (file, text, vienna_codes) are known."""
    with as_text(name, file, notes) as text:
        for item in _iter_items(name, text):
            if not isinstance(item, dict):
                raise _not_a_list(name)
            for published, meaning in _L3D_NAMES.items():
                if published in item and meaning not in item and meaning not in columns:
                    item[meaning] = item.pop(published)
            yield item


def _not_a_list(name: str) -> CatalogueError:
    """The error of JSON in another form."""
    return CatalogueError(f"{safe(name)} should hold a list of objects, one for each image")


def _iter_items(name: str, file: io.TextIOWrapper) -> Iterator[Any]:
    """The items of a JSON list, one at a time, in a few megabytes of memory."""
    decode = json.JSONDecoder(parse_int=whole_number).raw_decode
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
            if len(text) - position > MAX_LINE:
                raise CatalogueError(
                    f"{safe(name)} has an item above {MAX_LINE:,} characters; an item has the labels of "
                    "one image, so look for a missing bracket or quote"
                ) from None
            block = file.read(_BLOCK)  # the item may only be cut off by the end of the block
            if not block:
                raise
            text, position = text[position:] + block, 0
        else:
            yield item
