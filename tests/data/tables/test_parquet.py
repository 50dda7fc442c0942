"""Parquet tables of labels: any type of column is read or left out, and bytes are never copied."""

import io
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.helpers.marks import draw_marks
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.tables import parquet as reading
from tmssl.data.tables.parquet import read_parquet
from tmssl.errors import CatalogueError


def rows(**columns: Any) -> list[dict[str, Any]]:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    file.seek(0)
    return list(read_parquet("x.parquet", file))


@pytest.mark.parametrize(
    "column",
    [
        [{"bytes": b"\x89PNG", "path": "a.png"}],
        [{"bytes": None, "path": "a.png"}],
        pa.array([b"\xff\xd8\xff" * 9], pa.binary()),
        pa.array([b"\xff\xd8\xff" * 9], pa.large_binary()),
        pa.array([b"\xff\xd8"], pa.binary(2)),
        pa.array([b"\xff\xd8\xff" * 9]).dictionary_encode(),
        pa.array([b"x" * 5000]),
        [[{"bytes": b"\x89PNG"}, {"bytes": b"\x89PNG"}]],
        [{"media": {"front": {"bytes": b"\x89PNG"}}}],
        pa.array([[("small", b"\x89PNG")]], pa.map_(pa.string(), pa.binary())),
    ],
    ids=str,
)
def test_columns_of_bytes_are_left_out(column: Any) -> None:
    assert rows(path=["a.png"], picture=column) == [{"path": "a.png"}]


def test_binary_columns_of_text_are_text() -> None:
    (row,) = rows(
        path=pa.array([b"a.png"], pa.large_binary()),
        vienna=pa.array([[b"26.01", b"27.05"]], pa.list_(pa.binary())),
        group=pa.array([b"g"]).dictionary_encode(),
        office=pa.array([b"EUIPO"], pa.binary()),
    )
    assert row == {"path": "a.png", "vienna": ["26.01", "27.05"], "group": "g", "office": "EUIPO"}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.timestamp("ns"), 1_700_000_000_000_000_001),
        (pa.timestamp("us"), 1 << 62),
        (pa.timestamp("ms", tz="Europe/Nowhere"), 1),
        (pa.date32(), 10_000_000),
        (pa.date64(), 864 * 10**12),
        (pa.duration("ns"), 1),
        (pa.time64("ns"), 1),
        (pa.float16(), 1.5),
        (pa.decimal128(4, 2), Decimal("26.10")),
        (pa.list_(pa.timestamp("ns")), [1]),
        (pa.null(), None),
    ],
    ids=str,
)
def test_no_type_of_a_further_column_stops_the_reading(kind: pa.DataType, value: Any) -> None:
    assert rows(path=["a.png"], seen=pa.array([value], kind))[0]["path"] == "a.png"


def test_bytes_beside_the_paths_take_no_memory_and_no_room(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 12)
    (folder / "labels.csv").unlink()
    table = pa.table(
        {
            "path": [f"images/{i:04d}.png" for i in range(12)],
            "vienna": ["26.01"] * 12,
            "image": [{"bytes": os.urandom(1 << 21), "path": "a.png"} for _ in range(12)],
        }
    )
    pq.write_table(table, folder / "labels.parquet")
    catalogue = read_catalogue(folder)
    assert catalogue.report.joined == catalogue.report.with_codes == 12
    assert len(catalogue.marks.lines) < 4096
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from tmssl.data.sources.catalogue import read_catalogue; import pyarrow.parquet\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "read_catalogue(Path(sys.argv[1]))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 16 << 10  # KiB, of 24 MiB of images


def test_a_text_that_many_rows_share_is_one_object(tmp_path: Path) -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    table = pa.table(
        {"path": pa.array(["a", None, "a"], kind), "s": [{"x": "b"}, None, {"x": None}]}
    )
    pq.write_table(table, tmp_path / "a.parquet", store_schema=False)
    first, second, third = read_parquet("a.parquet", str(tmp_path / "a.parquet"))
    assert first["path"] is third["path"]
    assert [row["path"] for row in (first, second)] == ["a", None]
    assert [row["s"] for row in (first, second, third)] == [{"x": "b"}, None, {"x": None}]


def test_lists_of_every_kind_are_read_with_their_gaps(tmp_path: Path) -> None:
    columns = {
        "list": pa.array([["a", None], None, [], ["b"]]),
        "wide": pa.array([["a"], [], None, ["b", "c"]], pa.large_list(pa.string())),
        "fixed": pa.array([["a", "b"], None, ["c", "d"], [None, "e"]], pa.list_(pa.string(), 2)),
        "deep": pa.array([[["a"], []], None, [None], [["b", "c"]]]),
        "vienna": pa.array([[b"a", b"\xff"], None, [], [b"b"]], pa.list_(pa.binary())),
        "numbers": pa.array([[1, 2], None, [], [3]]),
    }
    for group in (1, 2, 4):
        pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=group)
        rows = list(read_parquet("a.parquet", str(tmp_path / "a.parquet")))
        for name, column in columns.items():
            told = [row.get(name) for row in rows]
            if name == "vienna":
                assert told == [["a", None], None, [], ["b"]]
            else:
                assert told == column.to_pylist(), name


@pytest.mark.parametrize(
    ("limit", "value", "column", "reason"),
    [
        ("MAX_ROWS", 100, ["a"] * 101, "101 rows; at most 100 are read"),
        ("_CHUNK_BYTES", 100, ["a" * 100_000], "cannot read the column 'path' of .* packed in"),
        ("_MAX_ITEMS", 100, [["a"] * 101], "101 items of lists in 1 rows"),
    ],
)
def test_a_table_that_unpacks_to_far_more_than_labels_is_refused(
    tmp_path: Path,
    limit: str,
    value: int,
    column: list[object],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reading, limit, value)
    monkeypatch.setattr(reading, "_CHUNK_RATIO", 10)
    table = pa.table({"path": column})
    pq.write_table(table, tmp_path / "labels.parquet", compression="zstd", use_dictionary=False)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(CatalogueError, match=reason):
        read_catalogue(tmp_path / "labels.parquet")


def test_types_nested_without_end_are_one_line(tmp_path: Path) -> None:
    kind = pa.int32()
    for _ in range(200):
        kind = pa.struct([("a", kind)])
    table = pa.table({"path": ["a.png"], "deep": pa.nulls(1, kind)})
    pq.write_table(table, tmp_path / "labels.parquet", store_schema=False)
    for source in (tmp_path, tmp_path / "labels.parquet"):
        with pytest.raises(CatalogueError, match=r"cannot read .*too deeply nested"):
            read_catalogue(source)


def test_few_rows_are_held_where_each_may_be_long(tmp_path: Path) -> None:
    text = "x" * 1_000_000
    for name, column, options, most in (
        (
            "shared",
            [text] * 3,
            {"use_dictionary": False, "column_encoding": "DELTA_BYTE_ARRAY"},
            300,
        ),
        ("nested", [[text]] * 3, {}, 300),
        ("long", [["a"] * 100_000] * 3, {}, 11),
        ("plain", [text] * 3, {}, 4096),
    ):
        pq.write_table(pa.table({name: column}), tmp_path / "a.parquet", **options)
        table = reading.open_parquet("a", str(tmp_path / "a.parquet"))
        assert reading.rows_at_once(table, [name]) <= most
        assert reading.rows_at_once(table, ["other"]) == 4096
