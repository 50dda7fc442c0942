"""Tables without line ends, with endless rows or with numbers of thousands of digits are refused early."""

import gzip
import io
import json
import sys
import zipfile
from pathlib import Path

import pytest

from tests.helpers.command import ROOT, run_checked
from tests.helpers.marks import draw_marks
from tmssl.data.sources import labels
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.tables import csv_table, limits, table
from tmssl.data.tables.table import read_table
from tmssl.errors import CatalogueError


class Endless(io.RawIOBase):
    """A file that begins with a text and repeats another; counts what is read of it."""

    def __init__(self, begin: bytes, again: bytes) -> None:
        self._pending, self._again = begin, again * (1 + (1 << 16) // len(again))
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # one kind of buffer is enough
        data = (self._pending or self._again)[: len(buffer)]
        self._pending = self._pending[len(data) :]
        buffer[: len(data)] = data
        self.read_bytes += len(data)
        return len(data)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a hundredth."""
    for module in (limits, table, csv_table):
        monkeypatch.setattr(module, "MAX_LINE", 100_000)
    monkeypatch.setattr(labels, "MAX_ROWS", 1000)
    monkeypatch.setattr(labels, "MAX_TEXT", 100_000)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("name", "begin", "again"),
    [
        ("a.csv", b"", b"x"),
        ("a.csv", b"path\n", b"x"),
        ("a.csv", b"path,title\na.png,", b"x,"),
        ("a.csv", b"path,title\na.png", b',"\n"'),
        ("a.csv", b"path,title\na.png,", b'"\n","\r\n",'),
        ("a.csv", b"\xff\xfep\0a\0t\0h\0\n\0", b"x\0"),
        ("a.tsv", b"path\ttitle\n", b"\t"),
        ("a.jsonl", b"", b" "),
        ("a.jsonl", b'{"path": "', b"x"),
        ("a.jsonl", b'{"path": "a.png"}\n', b"["),
        ("a.json", b'[{"path": "', b"x"),
        ("a.json", b'[{"path": "a.png"}, ', b"{"),
        ("a.json", b'[{"path": "a.png", "n": ', b"9"),
    ],
)
def test_a_line_without_end_is_refused_early(name: str, begin: bytes, again: bytes) -> None:
    file = Endless(begin, again)
    with pytest.raises(CatalogueError) as told:
        list(read_table(name, file))  # type: ignore[arg-type]  # it reads like one
    assert str(told.value).isprintable()
    assert len(str(told.value)) < 400
    assert file.read_bytes < 4 << 20


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("path\n" + "images/0000.png\n" * 1500, "more than 1,000 rows"),
        ("path,title\n" + f"images/0000.png,{'x' * 5000}\n" * 30, "bytes of text in"),
        ("path,vienna\n" + f"images/0000.png,{';'.join(['x'] * 400)}\n" * 3, "do not parse"),
    ],
)
def test_labels_that_would_fill_memory_are_refused(tmp_path: Path, rows: str, reason: str) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    (folder / "labels.csv").write_text(rows)
    with pytest.raises(CatalogueError, match=reason):
        read_catalogue(folder)


def test_a_cell_that_is_a_long_list_is_no_label(tmp_path: Path) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    (folder / "labels.csv").unlink()
    row = {
        "path": "images/0000.png",
        "features": [0.123456] * 3000,
        "note": [1, 2],
        "title": "x" * 20_000,
    }
    (folder / "labels.jsonl").write_text(json.dumps(row))
    catalogue = read_catalogue(folder)
    assert catalogue.marks[0].extra == {"note": "[1, 2]"}
    assert catalogue.marks[0].title == ""
    assert [note for note in catalogue.report.notes if "left out of the column" in note]


@pytest.mark.parametrize("digits", [1001, 5000, 100_000])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.jsonl", '{{"path": "images/0000.png", "n": {}}}'),
        ("results.json", '[{{"path": "images/0000.png", "n": -{}}}]'),
        ("labels.jsonl", '{{"path": {}}}'),
        ("labels.jsonl", '{{"path": "a.png", "vienna": [{}]}}'),
    ],
)
def test_a_number_of_thousands_of_digits_is_a_sentence(
    tmp_path: Path, name: str, text: str, digits: int
) -> None:
    folder = draw_marks(tmp_path / "m", 1)
    (folder / "labels.csv").unlink()
    (folder / name).write_text(text.format("9" * digits))
    with pytest.raises(CatalogueError, match=r"a number of [\d,]+ digits; write it as text"):
        read_catalogue(folder)


@pytest.mark.parametrize("cell", ["9" * 5000, "26." + "9" * 5000, "1e" + "9" * 5000, "9" * 500])
@pytest.mark.parametrize("column", ["vienna", "group", "split", "id", "year"])
def test_digits_in_text_are_text(tmp_path: Path, cell: str, column: str) -> None:
    folder = draw_marks(tmp_path / "m", 2)
    rows = f"path,{column}\nimages/0000.png,{cell}\nimages/0001.png,26.01\n"
    (folder / "labels.csv").write_text(rows)
    assert len(read_catalogue(folder).marks) == 2


PEAK = """
import resource, sys
from pathlib import Path
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import CatalogueError
import tmssl.data.tables.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_catalogue(Path(sys.argv[1]))
except CatalogueError as error:
    print(error, file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def bomb(folder: Path, kind: str) -> Path:
    """A gigabyte of labels in a megabyte, or half a gigabyte without a line end."""
    draw_marks(folder, 2)
    (folder / "labels.csv").unlink()
    block = b"x" * (1 << 20)
    if kind == "zip":
        with zipfile.ZipFile(
            folder.parent / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as archive:
            archive.write(folder / "images" / "0000.png", "0000.png")
            with archive.open("labels.csv", "w", force_zip64=True) as file:
                file.write(b"path,title\n0000.png,")
                for _ in range(1 << 10):
                    file.write(block)
        return folder.parent / "a.zip"
    begins = {"csv": b"path\nimages/0000.png,", "jsonl": b'{"path": "', "json": b'[{"path": "'}
    if kind == "gz":
        with gzip.open(folder / "labels.csv.gz", "wb", 1) as packed:
            packed.write(begins["csv"])
            for _ in range(1 << 10):
                packed.write(block)
        return folder
    if kind == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        titles = pa.array([block.decode()] * 20_000, pa.dictionary(pa.int32(), pa.string()))
        table = pa.table({"path": ["images/0000.png"] * 20_000, "title": titles, "note": titles})
        pq.write_table(table, folder / "labels.parquet", store_schema=False)
        return folder
    name = "results.json" if kind == "json" else f"labels.{kind}"
    with (folder / name).open("wb") as plain:
        plain.write(begins[kind])
        for _ in range(512):
            plain.write(block)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["zip", "gz", "csv", "jsonl", "json", "parquet"])
def test_a_bomb_takes_little_memory(tmp_path: Path, kind: str) -> None:
    done = run_checked([sys.executable, "-c", PEAK, str(bomb(tmp_path / "m", kind))], ROOT)
    assert len(done.stderr.splitlines()) == (kind != "parquet")  # its long texts are left out
    assert int(done.stdout) < 200 * 1024  # KiB
