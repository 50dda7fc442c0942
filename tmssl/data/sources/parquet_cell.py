"""One image in a column of a Parquet shard, read where it lies.

A worker reads ascending rows, so it keeps its place in the shard: each page is unpacked once, and
no more of a column is in memory than the page that is being read.
"""

import bisect
import functools
import itertools
import os
from collections.abc import Iterator
from typing import NamedTuple

from tmssl.data.picture import UnreadableError, cannot_read
from tmssl.data.tables.parquet import mean_bytes, open_parquet
from tmssl.errors import CatalogueError
from tmssl.text import safe

_BATCH_BYTES = 1 << 22  # of images that are decoded from a page at once
_BATCH_ROWS = 64
_MOST_BYTES = 1 << 30  # of a batch, should each of its images be as large as all of its row group
_MAX_BYTES = 1 << 28  # of one image


class ParquetCell(NamedTuple):
    """An image inside a Parquet file."""

    file: str
    row: int
    """in the file, over all its row groups"""
    column: str
    """the path of the column of bytes, such as `image.bytes`"""


def read_cell(cell: ParquetCell) -> bytes:
    """The bytes of an image.

    Raises:
        UnreadableError: the file is damaged there, has changed, or the cell is empty.
    """
    try:
        state = os.stat(cell.file)  # noqa: PTH116 - half a million times
        cursor = _cursor(cell.file, cell.column, (state.st_size, state.st_mtime_ns))
        data = cursor.read(cell.row)
    except OSError as error:
        raise cannot_read(error) from error
    except CatalogueError as error:
        raise UnreadableError(str(error)) from error
    if data is None:
        raise UnreadableError("no image in this row")
    if len(data) > _MAX_BYTES:
        raise UnreadableError(f"{len(data):,} bytes, above the limit of {_MAX_BYTES:,}")
    return data


@functools.lru_cache(maxsize=2)
def _cursor(file: str, column: str, _state: tuple[int, int]) -> "_Cursor":
    """The open file of a worker; another size or time of change opens it again."""
    return _Cursor(file, column)


class _Cursor:
    """A place in a column that moves forward; a step back starts the row group again."""

    def __init__(self, file: str, column: str) -> None:
        self._table = open_parquet(file, file)
        self._column = column
        groups = range(self._table.num_row_groups)
        counts = (self._table.metadata.row_group(group).num_rows for group in groups)
        self._begins = list(itertools.accumulate(counts, initial=0))
        mean = mean_bytes(self._table, column)
        self._rows = max(1, min(_BATCH_ROWS, int(_BATCH_BYTES / max(1.0, mean))))
        self._batches: Iterator[tuple[int, list[bytes | None]]] = iter(())
        self._batch: tuple[int, list[bytes | None]] = 0, []
        self._group = -1
        self._damaged: dict[int, int] = {}
        """row group to the first row that cannot be read"""

    def read(self, row: int) -> bytes | None:
        """The bytes of a row."""
        if not 0 <= row < self._begins[-1]:
            raise UnreadableError("the shard has fewer rows than when it was listed")
        group = bisect.bisect_right(self._begins, row) - 1
        if row >= self._damaged.get(group, row + 1):
            raise UnreadableError("damaged in the Parquet file")
        if group != self._group or row < self._batch[0]:
            self._group, self._batch = group, (self._begins[group], [])
            self._batches = self._read_group(group)
        while row >= self._batch[0] + len(self._batch[1]):
            self._batch = next(self._batches)
        return self._batch[1][row - self._batch[0]]

    def _read_group(self, group: int) -> Iterator[tuple[int, list[bytes | None]]]:
        """First row and cells of each batch of a row group."""
        import pyarrow as pa

        begin = self._begins[group]
        parts = self._table.metadata.row_group(group)
        whole = next(
            part.total_uncompressed_size
            for part in map(parts.column, range(parts.num_columns))
            if part.path_in_schema == self._column
        )
        rows = max(1, min(self._rows, _MOST_BYTES // max(1, whole)))
        batches = self._table.iter_batches(
            rows, row_groups=[group], columns=[self._column], use_threads=False
        )
        try:
            for batch in batches:
                cells = batch.column(0)
                while pa.types.is_struct(cells.type):
                    cells = cells.flatten()[0]
                yield begin, cells.to_pylist()
                begin += len(batch)
        except OSError as error:
            self._group = -1
            if error.errno is None:  # pyarrow's own word for a page that is cut off
                self._damaged[group] = begin
            raise
        except pa.ArrowException as error:
            self._damaged[group], self._group = begin, -1
            raise UnreadableError(f"damaged in the Parquet file ({safe(error, 60)})") from error
        self._damaged[group], self._group = begin, -1
        raise UnreadableError("damaged in the Parquet file: a row group ends early")
