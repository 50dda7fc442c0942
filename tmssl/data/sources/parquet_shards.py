"""Parquet files whose rows hold images, as Hugging Face publishes them, read in place."""

import dataclasses
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tmssl.data.cells import Row, cell_text, column_name
from tmssl.data.formats import is_image
from tmssl.data.sources.folder import AllowedFolders, read_attribution
from tmssl.data.sources.parquet_cell import ParquetCell
from tmssl.data.tables.parquet import (
    batch_rows,
    cells_of,
    holds_bytes,
    is_binary,
    label_columns,
    open_parquet,
    rows_at_once,
)
from tmssl.errors import CatalogueError
from tmssl.text import safe

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_NAMES = ("image", "img", "picture", "photo", "logo", "mark", "bytes", "content", "data")
_PATHS = ("path", "file_name", "filename", "file", "name")  # columns that name an image of bytes
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM", b"II*\0", b"MM\0*")
"""first bytes of the formats that are decoded"""
_HUB_SPLIT = re.compile(r"([A-Za-z_]+)-\d{5}-of-\d{5}\.parquet")


@dataclasses.dataclass(frozen=True)
class ImageColumn:
    """The column of a Parquet file that holds images."""

    name: str
    """of the column, such as `image`; parts of a struct are joined by dots"""
    data: str
    """the path of its bytes, such as `image.bytes`"""
    path: str
    """the path of its names, such as `image.path`; empty where there are none"""
    reason: str
    """by what it was known, in words"""


class ParquetShards:
    """The images of some Parquet files; `Folder` has the same methods."""

    def __init__(self, root: Path, shards: Sequence[str], column: ImageColumn) -> None:
        self.root = root
        self.names = list(shards)
        self.column = column
        self.images: list[str] = []
        self.labels: list[str] = []
        self.outside: list[str] = []
        self.skipped: dict[str, list[str]] = {}
        self._known = frozenset(shards)

    @property
    def shards(self) -> list[Path]:
        """The files."""
        return [self.root / name for name in self.names]

    def location(self, path: str) -> ParquetCell | str:
        """Where the bytes of an image are: in its row, or in a file that the row names."""
        for depth in (1, 2):  # SHARD/ROW or SHARD/ROW/NAME
            shard, *rest = path.rsplit("/", depth)
            if rest and shard in self._known:
                return ParquetCell(self._file(shard), int(rest[0]), self.column.data)
        return self._file(path)

    def length(self, path: str) -> int:
        """Bytes of an image file; 0 in a row, for the digest of the shards counts instead."""
        location = self.location(path)
        if isinstance(location, str):
            try:
                return os.stat(location).st_size  # noqa: PTH116 - strings
            except OSError:
                return -1
        return 0

    def open(self, path: str) -> BinaryIO:
        """A file beside the shards, open for reading.

        Raises:
            OSError: it cannot be read.
        """
        return (self.root / path).open("rb")

    def attribution(self) -> str:
        """The text of ATTRIBUTION.txt, or nothing."""
        return read_attribution(self.root)

    def rows(self, allowed: AllowedFolders) -> Iterator[Row]:
        """The labels of every row of every shard; lists the images on the way.

        A row is named SHARD/ROW/NAME, so that names of two shards never meet. Where a row has no
        bytes, the file that it names counts, if it lies in an allowed folder.

        Raises:
            CatalogueError: a shard is damaged or has no column of images.
        """
        for shard in self.names:
            table = open_parquet(self._file(shard), self._file(shard))
            column = find_image_column(table)
            if column is None or column.data != self.column.data:
                raise CatalogueError(
                    f"{safe(self._file(shard))} has no images in '{safe(self.column.data)}', as "
                    f"{safe(self.names[0])} has; give files of one kind"
                )
            yield from self._shard_rows(shard, table, allowed)

    def _shard_rows(
        self, shard: str, table: "pq.ParquetFile", allowed: AllowedFolders
    ) -> Iterator[Row]:
        """The rows of one shard."""
        names = class_names(table)
        split = _HUB_SPLIT.fullmatch(shard.rpartition("/")[2])
        digits = max(6, len(str(table.metadata.num_rows)))
        for number, (row, has_bytes) in enumerate(_labelled(shard, table, self.column)):
            given = cell_text(row.pop(_PATH, None))
            name = given or next((cell_text(row[key]) for key in _PATHS if row.get(key)), "")
            row = {
                key: _named(cell, names.get(key))
                for key, cell in row.items()
                if column_name(key) != "path"
            }
            if split and not cell_text(row.get("split")):
                row["split"] = split[1]
            if has_bytes:
                base = name.replace("\\", "/").rpartition("/")[2]
                row["path"] = f"{shard}/{number:0{digits}d}" + (f"/{base}" if base else "")
                self.images.append(row["path"])
            else:
                row["path"] = self._file_beside(shard, name, allowed) or name or f"{shard}/{number}"
            yield row

    def _file_beside(self, shard: str, name: str, allowed: AllowedFolders) -> str:
        """The image file that a row without bytes names, relative to the root; nothing if it is none."""
        folder = shard.rpartition("/")[0]
        beside = os.path.normpath(f"{folder}/{name}" if folder else name)
        for path in dict.fromkeys([beside, os.path.normpath(name)]):
            file = self._file(path)
            if name and is_image(name) and os.path.isfile(file):  # noqa: PTH113 - strings
                if allowed.contain(file):
                    self.images.append(path)
                    return path
                self.outside.append(path)
        return ""

    def _file(self, path: str) -> str:
        return os.path.join(self.root, path)  # noqa: PTH118 - half a million times


_PATH = "\0path"  # of the struct, among the label columns of a row


def _labelled(
    shard: str, table: "pq.ParquetFile", column: ImageColumn
) -> Iterator[tuple[Row, bool]]:
    """The labels of each row, and whether it has the bytes of an image."""
    import pyarrow as pa

    top = column.name.split(".")[0]
    labels = [name for name in label_columns(table) if name != top]
    wanted = [*labels, *filter(None, [column.path])]
    filled = _filled(table, column)
    try:
        if not wanted:
            for has_bytes in filled:
                yield {}, has_bytes
            return
        for batch in table.iter_batches(
            rows_at_once(table, wanted), columns=wanted, use_threads=False
        ):
            paths = cells_of(_leaf(batch, top)) if column.path else [None] * len(batch)
            rows = batch_rows(batch.select(labels)) if labels else ({} for _ in range(len(batch)))
            for row, path in zip(rows, paths, strict=True):
                yield {**row, _PATH: path}, next(filled)
    except (pa.ArrowException, ValueError) as error:
        raise CatalogueError(f"cannot read {safe(shard)}: {safe(error, 200)}") from error


def _leaf(batch: "pa.RecordBatch", column: str) -> "pa.Array":
    """The one part of a struct that was read."""
    import pyarrow as pa

    cells = batch.column(column)
    while pa.types.is_struct(cells.type):
        cells = cells.flatten()[0]
    return cells


def _filled(table: "pq.ParquetFile", column: ImageColumn) -> Iterator[bool]:
    """Whether each row has bytes, from the footer where that tells, else from the column."""
    for number in range(table.num_row_groups):
        group = table.metadata.row_group(number)
        parts = map(group.column, range(group.num_columns))
        part = next(part for part in parts if part.path_in_schema == column.data)
        known = part.statistics.null_count if part.is_stats_set else None
        if known in (0, group.num_rows):
            yield from (known == 0 for _ in range(group.num_rows))
            continue
        for batch in table.iter_batches(
            1, row_groups=[number], columns=[column.data], use_threads=False
        ):
            yield from (bool(cell) for cell in _leaf(batch, column.name.split(".")[0]).to_pylist())


def find_image_column(table: "pq.ParquetFile") -> ImageColumn | None:
    """The column that holds images; None where there is none.

    In this order: what the file's Hugging Face schema calls an image, a struct of `bytes`, a binary
    column under an image's name, and any binary column whose first cell begins like an image.
    """
    found = list(_candidates(table))
    return min(found, key=lambda pair: (pair[0], _rank(pair[1].name)), default=(0, None))[1]


def _rank(name: str) -> int:
    """The place of a column among the usual names."""
    last = name.rpartition(".")[2].lower()
    return _NAMES.index(last) if last in _NAMES else len(_NAMES)


def _candidates(table: "pq.ParquetFile") -> Iterator[tuple[int, ImageColumn]]:
    """The columns that may hold images, and how sure that is (0 is surest)."""
    features = _features(table)
    for field in table.schema_arrow:
        declared = (
            isinstance(features.get(field.name), dict)
            and features[field.name].get("_type") == "Image"
        )
        for name, kind in _fields(field.name, field.type):
            if _is_struct_of_bytes(kind):
                has_path = kind.get_field_index("path") >= 0
                reason = (
                    "Hugging Face's schema calls it an image"
                    if declared
                    else "it is a struct of bytes" + (" and path" if has_path else "")
                )
                path = f"{name}.path" if has_path else ""
                yield int(not declared), ImageColumn(name, f"{name}.bytes", path, reason)
            elif is_binary(kind) and _begins_like_an_image(table, name):
                known = name.rpartition(".")[2].lower() in _NAMES
                yield (
                    (0 if declared else 2 if known else 3),
                    ImageColumn(name, name, "", "its bytes begin like an image file"),
                )


def _fields(name: str, kind: "pa.DataType") -> Iterator[tuple[str, "pa.DataType"]]:
    """A column, and the parts of a struct at any depth, as path and type."""
    from pyarrow import types

    yield name, kind
    if types.is_struct(kind) and not _is_struct_of_bytes(kind):
        for i in range(kind.num_fields):
            yield from _fields(f"{name}.{kind.field(i).name}", kind.field(i).type)


def _is_struct_of_bytes(kind: "pa.DataType") -> bool:
    """Whether a type is a struct with a binary part `bytes`."""
    from pyarrow import types

    if not types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    return holds_bytes(kind)


def _begins_like_an_image(table: "pq.ParquetFile", column: str) -> bool:
    """Whether the first cell of a binary column that is not empty begins like an image file."""
    import pyarrow as pa

    try:
        for batch in table.iter_batches(1, columns=[column], use_threads=False):
            for cell in _leaf(batch, column.split(".")[0]).to_pylist():
                if cell:
                    return cell.startswith(_STARTS)
    except pa.ArrowException:  # damaged there; reading the rows will say so
        return False
    return False


def _features(table: "pq.ParquetFile") -> dict[str, Any]:
    """The features of Hugging Face's schema, by column; empty for other files."""
    text = (table.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(text)["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return features if isinstance(features, dict) else {}


def class_names(table: "pq.ParquetFile") -> dict[str, list[str]]:
    """The names of a column's classes, where Hugging Face's schema has them for its integers."""
    names = {}
    for column, feature in _features(table).items():
        while isinstance(feature, dict | list) and feature:
            inner = feature[0] if isinstance(feature, list) else feature
            if isinstance(inner, dict) and isinstance(inner.get("names"), list):
                names[column] = list(map(str, inner["names"]))
            feature = inner.get("feature") if isinstance(inner, dict) else None
    return names


def _named(cell: Any, names: list[str] | None) -> Any:
    """A class, or a list of classes, by name; a number outside of them is no label."""
    if names is None:
        return cell
    if isinstance(cell, list):
        return [name for item in cell if (name := _named(item, names))]
    if isinstance(cell, int) and not isinstance(cell, bool):
        return names[cell] if 0 <= cell < len(names) else ""
    return cell
