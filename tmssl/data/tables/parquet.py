"""Reading a Parquet table of labels as rows; columns that hold images or other bytes are not read.

Bytes are what makes a Parquet file large: 24 thumbnails of 2 MB would otherwise pass through the
labels as a gigabyte of text.
"""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

from tmssl.data.cells import COLUMNS, Row, column_name
from tmssl.data.tables.limits import MAX_ROWS, why_bomb
from tmssl.errors import CatalogueError
from tmssl.text import safe

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_ROWS = 4096  # held at once
_ITEMS = 1 << 20  # of lists, held at once in the mean
_MAX_ITEMS = 1 << 24  # of lists, held at once
_TEXT_BYTES = 1 << 28  # of text that is packed by what it shares, held at once
_SHARING = "DELTA_BYTE_ARRAY"  # the encoding in which each value takes over the beginning of the one before
_CHUNK_BYTES = 1 << 26  # of a column in a row group, unpacked; beyond, the ratio counts
_CHUNK_RATIO = 1000  # of those to the packed ones; constant columns reach hundreds
_MAX_TEXT = 4096  # mean bytes of a cell above which binary cells are no text
_SAMPLED = 8  # cells that decide whether a binary column holds text
_READ_BYTES = 1 << 20  # at once; without it, a whole column of a row group would be


def open_parquet(name: str, file: BinaryIO | str) -> "pq.ParquetFile":
    """A Parquet file, open for reading column by column in little memory.

    Texts are read as dictionaries: a text of a megabyte that a hundred thousand rows share is one object.

    Args:
        name: of the file, for messages.
        file: the file or its path.

    Raises:
        CatalogueError: pyarrow is not installed, this is no Parquet, or it would unpack to far more than labels.
        OSError: it cannot be read.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise CatalogueError(
            f"{safe(name)} is Parquet, which needs pyarrow: pip install 'tmssl[parquet]'"
        ) from error
    try:
        plain = pq.ParquetFile(file, buffer_size=_READ_BYTES, pre_buffer=False)
        texts = _text_columns(name, plain)
        return pq.ParquetFile(
            file,
            metadata=plain.metadata,
            buffer_size=_READ_BYTES,
            pre_buffer=False,
            read_dictionary=texts,
        )
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error


def _text_columns(name: str, table: "pq.ParquetFile") -> list[str]:
    """The columns of texts and of short bytes; pyarrow reads no dictionary inside a list or a struct.

    Raises:
        CatalogueError: there are more rows than marks that anybody has, or a column is packed too tightly.
    """
    metadata = table.metadata
    if metadata.num_rows > MAX_ROWS:
        raise CatalogueError(
            f"{safe(name)} has {metadata.num_rows:,} rows; at most {MAX_ROWS:,} are read: give a part of it"
        )
    texts = []
    for number in range(len(metadata.schema)):
        column = metadata.schema.column(number)
        kind = column.logical_type.type
        if column.physical_type != "BYTE_ARRAY" or kind == "DECIMAL":
            continue
        parts = [
            part.column(number) for part in map(metadata.row_group, range(table.num_row_groups))
        ]
        for part in parts:
            reason = why_bomb(
                part.total_uncompressed_size,
                part.total_compressed_size,
                welcome=_CHUNK_BYTES,
                ratio=_CHUNK_RATIO,
            )
            if reason:
                raise CatalogueError(
                    f"cannot read the column '{safe(column.path, 60)}' of {safe(name)}: {reason}"
                )
        mean = sum(part.total_uncompressed_size for part in parts) / max(1, metadata.num_rows)
        if "." not in column.path and (kind != "NONE" or mean <= _MAX_TEXT):
            texts.append(column.path)
    return texts


def read_parquet(name: str, file: BinaryIO | str) -> Iterator[Row]:
    """The rows of a Parquet file, without its columns of images.

    Raises:
        CatalogueError: as `open_parquet`, or it is damaged.
        OSError: it cannot be read.
    """
    table = open_parquet(name, file)
    import pyarrow as pa

    columns = label_columns(table)
    if not columns:  # pyarrow takes no columns for no rows
        return
    try:
        rows = rows_at_once(table, columns)
        for batch in table.iter_batches(rows, columns=columns, use_threads=False):
            yield from batch_rows(batch)
    except pa.ArrowException as error:
        raise CatalogueError(f"cannot read {safe(name)}: {safe(error, 200)}") from error


def rows_at_once(table: "pq.ParquetFile", columns: Sequence[str]) -> int:
    """How many rows of some columns are in memory together: fewer where they have long lists, or share text.

    Each text inside a list or a struct may be as long as all of its column in a row group.
    """
    most = float(_ROWS)
    for group in map(table.metadata.row_group, range(table.num_row_groups)):
        for part in map(group.column, range(group.num_columns)):
            path = part.path_in_schema
            if not any(f"{path}.".startswith(f"{column}.") for column in columns):
                continue
            most = min(most, _ITEMS * group.num_rows / max(1, part.num_values))
            nested = "." in path and part.physical_type == "BYTE_ARRAY"
            if nested or _SHARING in part.encodings:
                most = min(most, _TEXT_BYTES / max(1, part.total_uncompressed_size))
    return max(1, int(most))


def label_columns(table: "pq.ParquetFile") -> list[str]:
    """The columns that hold no bytes; a binary column that holds text is one of them."""
    return [
        field.name
        for field in table.schema_arrow
        if not holds_bytes(field.type)
        or (is_binary(_item(field.type)) and _holds_text(table, field.name))
    ]


def batch_rows(batch: "pa.RecordBatch") -> Iterator[Row]:
    """The rows of some label columns."""
    names = batch.schema.names
    for cells in zip(*map(cells_of, batch.columns), strict=True):
        yield dict(zip(names, cells, strict=True))


def holds_bytes(kind: "pa.DataType") -> bool:
    """Whether a type is binary or has a binary part at any depth."""
    if is_binary(kind):
        return True
    parts = [kind.field(i) for i in range(kind.num_fields)]
    # Where no image of a file has bytes, their type is null.
    return any(
        holds_bytes(part.type) or (part.name, part.type) == ("bytes", "null") for part in parts
    )


def _item(kind: "pa.DataType") -> "pa.DataType":
    """The type of a list's items, or the type itself."""
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return kind.value_type if is_list else kind


def is_binary(kind: "pa.DataType") -> bool:
    """Whether a type is binary of any width, or a dictionary of such."""
    from pyarrow import types

    if types.is_dictionary(kind):
        kind = kind.value_type
    tests = types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view
    return any(test(kind) for test in tests)


def _holds_text(table: "pq.ParquetFile", column: str) -> bool:
    """Whether a binary column holds short text, as Hive, Impala and old Spark write it."""
    if mean_bytes(table, column) > _MAX_TEXT:
        return False
    if column_name(column) in COLUMNS:
        return True
    seen = 0
    for batch in table.iter_batches(_SAMPLED, columns=[column], use_threads=False):
        for cell in batch.column(0).to_pylist():
            items = [item for item in (cell if isinstance(cell, list) else [cell]) if item]
            if not all((_as_text(item) or "\0").isprintable() for item in items):
                return False
            seen += len(items)
        if seen >= _SAMPLED:
            break
    return True


def mean_bytes(table: "pq.ParquetFile", column: str) -> float:
    """Bytes of a row of a column in the mean, as the file's footer says."""
    total, rows = 0, 0
    for group in map(table.metadata.row_group, range(table.num_row_groups)):
        rows += group.num_rows
        for part in map(group.column, range(group.num_columns)):
            if f"{part.path_in_schema}.".startswith(f"{column}."):
                total += part.total_uncompressed_size
    return total / max(1, rows)


def cells_of(column: "pa.Array") -> list[Any]:
    """The cells of a column as Python has them; equal texts are one object.

    Raises:
        ValueError: lists have more items than labels.
    """
    from pyarrow import types

    kind = column.type
    if types.is_dictionary(kind):
        used = column.indices.unique().drop_null()
        values = dict(zip(used.to_pylist(), cells_of(column.dictionary.take(used)), strict=True))
        return [values.get(at) for at in column.indices.to_pylist()]
    if _item(kind) is not kind:
        return _lists(column)
    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        parts = zip(*map(cells_of, column.flatten()), strict=True)
        valid = column.is_valid().to_pylist()
        return [
            dict(zip(names, part, strict=True)) if known else None
            for known, part in zip(valid, parts, strict=True)
        ]
    if is_binary(kind):
        return [_decoded(cell) for cell in column.to_pylist()]
    try:
        cells: list[Any] = column.to_pylist()
    except _no_python_value():
        return [_cell(scalar) for scalar in column]
    return cells


def _lists(column: "pa.Array") -> list[Any]:
    """The cells of a column of lists."""
    from pyarrow import types

    items = column.flatten()
    if len(items) > _MAX_ITEMS:
        raise ValueError(
            f"{len(items):,} items of lists in {len(column):,} rows, which are no labels"
        )
    left = iter(cells_of(items))
    if types.is_fixed_size_list(column.type):
        size = column.type.list_size
        lengths = [size if valid else None for valid in column.is_valid().to_pylist()]
    else:
        lengths = column.value_lengths().to_pylist()
    return [None if n is None else list(itertools.islice(left, n)) for n in lengths]


def _cell(scalar: "pa.Scalar") -> Any:
    """One cell; a date or time that Python cannot hold is text, or else a number."""
    import pyarrow as pa

    try:
        return scalar.as_py()
    except _no_python_value():
        try:
            return str(scalar.cast(pa.string()))
        except _no_python_value():
            return getattr(scalar, "value", None)


def _no_python_value() -> tuple[type[Exception], ...]:
    """What pyarrow raises for years above 9999, nanoseconds without pandas and unknown time zones."""
    import pyarrow as pa

    return (ValueError, OverflowError, ImportError, KeyError, pa.ArrowException)


def _decoded(cell: bytes | None) -> str | None:
    """A binary cell as text; what is no UTF-8 is nothing."""
    return None if cell is None else _as_text(cell)


def _as_text(data: bytes) -> str | None:
    """Bytes as text if they are UTF-8."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None
