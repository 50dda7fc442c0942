"""A history for other programs: a table as CSV or Parquet, or TensorBoard's event files."""

import csv
import math
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tmssl.errors import InputError
from tmssl.files import atomic_path, cannot_write
from tmssl.runs.events import Epoch, Score, Step
from tmssl.runs.history import History
from tmssl.text import safe, spreadsheet_cell

Value = str | int | float | None
Row = dict[str, Value]

_TEXT_COLUMNS = ("kind", "metric", "level", "codes")
_INTEGER_COLUMNS = ("segment", "step", "k", "queries")
_ROWS_AT_ONCE = 10_000
_ADVICE = "choose another with --out"


def columns() -> list[str]:
    """Names of the columns: kind and segment, then every figure of steps, epochs and scores."""
    names = ["kind", "segment", "step", "epoch", "t"]
    names += [*Step.__struct_fields__, *Epoch.__struct_fields__, "metric", "level", "codes", "k"]
    names += [name for name in Score.__struct_fields__ if name != "references"]
    return list(dict.fromkeys(names))


def rows(history: History) -> Iterator[Row]:
    """A row for each logged step, each epoch and each score of an evaluation."""
    logged: tuple[Step | Epoch, ...] = (*history.steps, *history.epochs)
    for line in logged:
        figures = {name: _cell(getattr(line, name)) for name in line.__struct_fields__}
        segment = _segment(history, line.step)
        yield {"kind": str(line.__struct_config__.tag), "segment": segment, **figures}
    for event in history.evals:
        segment = _segment(history, event.step)
        place: Row = {"kind": "score", "segment": segment, "step": event.step}
        place |= {"epoch": event.epoch, "t": event.t}
        for score in event.scores:
            fields = msgspec.structs.asdict(score)
            yield place | {n: _cell(v) for n, v in fields.items() if n != "references"}


def _segment(history: History, step: int) -> int:
    """Number of the segment that a step belongs to."""
    segment = history.segment_at(step)
    return segment.number if segment else 0


def _cell(value: object) -> Value:
    """A field as a cell: text is safe to show and no formula, a number finite or None."""
    if isinstance(value, str):
        return spreadsheet_cell(value, 200)
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def write_csv(history: History, path: Path) -> int:
    """Write the table as CSV and return its number of rows; the file appears complete or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    count = 0
    try:
        with atomic_path(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns())
            table.writeheader()
            for count, row in enumerate(rows(history), 1):  # noqa: B007 - the count is returned
                table.writerow(row)
    except OSError as error:
        raise cannot_write(path, error, _ADVICE) from error
    return count


def write_parquet(history: History, path: Path) -> int:
    """Write the table as Parquet with pyarrow, and return its number of rows.

    Raises:
        InputError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: pip install 'tmssl[parquet]'") from error
    kinds = {
        **dict.fromkeys(_TEXT_COLUMNS, pa.string()),
        **dict.fromkeys(_INTEGER_COLUMNS, pa.int64()),
    }
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in columns()])
    table = list(rows(history))
    try:
        with atomic_path(path) as fresh, pq.ParquetWriter(fresh, schema) as file:
            for begin in range(0, max(1, len(table)), _ROWS_AT_ONCE):
                part = table[begin : begin + _ROWS_AT_ONCE]
                file.write_table(pa.Table.from_pylist(part, schema))
    except OSError as error:
        raise cannot_write(path, error, _ADVICE) from error
    return len(table)


def write_tensorboard(history: History, folder: Path) -> int:
    """Write every figure as a scalar with TensorBoard's writer, and return their number.

    Tags are `step/loss`, `epoch/loss` and `eval/division/figurative/hit@10` with `.../chance` beside it.

    Raises:
        InputError: tensorboard is not installed, or the folder cannot be written or holds events.
    """
    try:
        from tensorboard.summary import Writer
    except ImportError as error:
        raise InputError(
            "TensorBoard's files need tensorboard: pip install 'tmssl[tensorboard]'"
        ) from error
    if folder.is_dir() and any(folder.glob("events.out.tfevents.*")):
        raise InputError(
            f"{safe(folder)} already holds events, which TensorBoard would mix with these; give another --out"
        )
    count = 0
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writer = Writer(str(folder))
        for row in rows(history):
            for tag, value in _scalars(row):
                writer.add_scalar(tag, value, row["step"], wall_time=row["t"])
                count += 1
        writer.close()
    except OSError as error:
        raise cannot_write(folder, error, _ADVICE) from error
    return count


def _scalars(row: Row) -> Iterator[tuple[str, float]]:
    """Tag and value of each figure of a row."""
    if row["kind"] == "score":
        tag = "/".join(str(row[name]) for name in ("level", "codes", "metric"))
        tag = f"eval/{tag}@{row['k']}" if row["k"] else f"eval/{tag}"
        figures = {tag: row["value"], f"{tag}/chance": row["chance"]}
    else:
        left_out = (
            *_TEXT_COLUMNS,
            *_INTEGER_COLUMNS,
            "t",
            *(["epoch"] if row["kind"] == "epoch" else []),
        )
        figures = {f"{row['kind']}/{n}": value for n, value in row.items() if n not in left_out}
    for name, value in figures.items():
        if isinstance(value, int | float):
            yield name, float(value)
