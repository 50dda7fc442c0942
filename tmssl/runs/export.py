"""A journal for other programs: one table of its figures as CSV or Parquet, or TensorBoard's event file."""

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

_WORDS = ("kind", "metric", "level", "codes")
_WHOLE = ("segment", "step", "k", "queries")
_ROWS_AT_ONCE = 10_000

_ELSEWHERE = "choose another with --out"


def columns() -> list[str]:
    """Names of the columns: kind and segment, then every figure of steps, epochs and scores."""
    kinds = (Step, Epoch, Score)
    named = ["kind", "segment", "step", "epoch", "t"]
    named += [name for kind in kinds for name in kind.__struct_fields__ if name != "references"]
    return list(dict.fromkeys(named))


def rows(history: History) -> Iterator[Row]:
    """A row for each logged step, each epoch and each score of an evaluation.

    Of steps that a resume repeated the later life is told, as everywhere.
    """
    events: tuple[Step | Epoch, ...] = (*history.steps, *history.epochs)
    for event in events:
        row: Row = {
            "kind": str(event.__struct_config__.tag),
            "segment": _segment(history, event.step),
            **{name: _finite(getattr(event, name)) for name in event.__struct_fields__},
        }
        yield row
    for told in history.evals:
        place: Row = {
            "kind": "score",
            "segment": _segment(history, told.step),
            "step": told.step,
            "epoch": told.epoch,
            "t": told.t,
        }
        for score in told.scores:
            figures = msgspec.structs.asdict(score)
            yield place | {n: _finite(v) for n, v in figures.items() if n != "references"}


def _segment(history: History, step: int) -> int:
    """Number of the segment that a step belongs to."""
    segment = history.segment_at(step)
    return segment.number if segment else 0


def _finite(value: object) -> Value:
    """A field as a cell: words are safe to show and no formula, figures finite or None."""
    if isinstance(value, str):
        return spreadsheet_cell(value, 200)
    if isinstance(value, int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def write_csv(history: History, path: Path) -> int:
    """Write the table as CSV and return its rows; it appears complete or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    count = 0
    try:
        with atomic_path(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, columns())
            table.writeheader()
            for count, row in enumerate(rows(history), 1):  # noqa: B007 - counted for the caller
                table.writerow(row)
    except OSError as error:
        raise cannot_write(path, error, _ELSEWHERE) from error
    return count


def write_parquet(history: History, path: Path) -> int:
    """Write the table as Parquet, by pyarrow, and return its rows.

    Raises:
        InputError: pyarrow is not installed, or the file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise InputError("Parquet needs pyarrow: pip install 'tmssl[parquet]'") from error
    kinds = {**dict.fromkeys(_WORDS, pa.string()), **dict.fromkeys(_WHOLE, pa.int64())}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in columns()])
    told = list(rows(history))
    try:
        with atomic_path(path) as fresh, pq.ParquetWriter(fresh, schema) as file:
            for begin in range(0, max(1, len(told)), _ROWS_AT_ONCE):
                part = told[begin : begin + _ROWS_AT_ONCE]
                file.write_table(pa.Table.from_pylist(part, schema))
    except OSError as error:
        raise cannot_write(path, error, _ELSEWHERE) from error
    return len(told)


def write_tensorboard(history: History, folder: Path) -> int:
    """Write every figure as a scalar by TensorBoard's own writer, and return how many.

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
            f"{safe(folder)} holds events already, which TensorBoard would mix; give another --out"
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
        raise cannot_write(folder, error, _ELSEWHERE) from error
    return count


def _scalars(row: Row) -> Iterator[tuple[str, float]]:
    """Tag and value of what a row measured."""
    if row["kind"] == "score":
        tag = "/".join(str(row[name]) for name in ("level", "codes", "metric"))
        tag = f"eval/{tag}@{row['k']}" if row["k"] else f"eval/{tag}"
        figures = {tag: row["value"], f"{tag}/chance": row["chance"]}
    else:
        left_out = (*_WORDS, *_WHOLE, "t", *(["epoch"] if row["kind"] == "epoch" else []))
        figures = {f"{row['kind']}/{n}": value for n, value in row.items() if n not in left_out}
    for name, value in figures.items():
        if isinstance(value, int | float):
            yield name, float(value)
