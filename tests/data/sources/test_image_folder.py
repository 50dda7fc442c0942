"""Image folders as Hugging Face publishes them: metadata with a column file_name beside the images."""

import json
import zipfile
from pathlib import Path

import pytest

from tests.helpers.l3d import images
from tests.helpers.shards import parquet
from tmssl.data.sources.catalogue import read_catalogue

ROWS = [{"file_name": "0.png", "vienna": "26.01"}, {"file_name": "1.png", "vienna": "27.05"}]


def write(folder: Path, kind: str, rows: list[dict[str, str]]) -> None:
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
        (folder / "metadata.csv").write_text("\n".join(lines))
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    else:
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        parquet(folder / "metadata.parquet", columns)


def codes(source: Path) -> dict[str, tuple[str, ...]]:
    return {mark.path: mark.vienna for mark in read_catalogue(source).marks}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_labels_the_images_beside_it(tmp_path: Path, kind: str) -> None:
    write(images(tmp_path / "m", "0.png", "1.png"), kind, ROWS)
    assert codes(tmp_path / "m") == {"0.png": ("26.01",), "1.png": ("27.05",)}
    told = "\n".join(read_catalogue(tmp_path / "m").report.lines())
    assert "its column 'file_name' is the path, as in Hugging Face's image folders" in told


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_each_split_has_metadata_of_its_own(tmp_path: Path, kind: str) -> None:
    images(tmp_path, "train/0.png", "train/1.png", "test/0.png", "test/1.png")
    write(tmp_path / "train", kind, ROWS)
    write(tmp_path / "test", kind, [{**row, "vienna": "03.01"} for row in ROWS])
    assert codes(tmp_path) == {
        "test/0.png": ("03.01",),
        "test/1.png": ("03.01",),
        "train/0.png": ("26.01",),
        "train/1.png": ("27.05",),
    }
    marks = read_catalogue(tmp_path, folders="split").marks
    assert [mark.split for mark in marks] == ["validation"] * 2 + ["train"] * 2


def test_metadata_at_the_top_names_images_in_folders(tmp_path: Path) -> None:
    images(tmp_path, "a/0.png", "b/0.png")
    rows = [
        {"file_name": "a/0.png", "vienna": "26.01"},
        {"file_name": "b/0.png", "vienna": "27.05"},
    ]
    write(tmp_path, "jsonl", rows)
    assert codes(tmp_path) == {"a/0.png": ("26.01",), "b/0.png": ("27.05",)}


def test_a_prefix_before_file_name_is_known_where_it_is_the_only_one(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png")
    renamed = [{"image_file_name": row["file_name"], "vienna": row["vienna"]} for row in ROWS]
    write(tmp_path, "csv", renamed)
    assert codes(tmp_path) == {"0.png": ("26.01",), "1.png": ("27.05",)}


def test_metadata_that_names_no_images_is_told_and_left_out(tmp_path: Path) -> None:
    images(tmp_path, "0.png")
    (tmp_path / "metadata.csv").write_text("camera,lens\nA,B\n")
    report = read_catalogue(tmp_path).report
    assert (report.images, report.labels) == (1, 0)
    assert "no column file_name" in "\n".join(report.lines())


def test_labels_and_registers_come_before_metadata(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png")
    write(tmp_path, "csv", ROWS)
    (tmp_path / "labels.csv").write_text("path,vienna\n0.png,05.01\n1.png,05.03\n")
    assert codes(tmp_path) == {"0.png": ("05.01",), "1.png": ("05.03",)}


def test_a_zip_of_an_image_folder_is_read_in_place(tmp_path: Path) -> None:
    folder = images(tmp_path / "m", "train/0.png", "train/1.png")
    write(folder / "train", "jsonl", ROWS)
    with zipfile.ZipFile(tmp_path / "m.zip", "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder))
    assert codes(tmp_path / "m.zip") == {"train/0.png": ("26.01",), "train/1.png": ("27.05",)}


def test_other_tables_may_say_file_name_too(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png")
    (tmp_path / "marks.csv").write_text("file_name;vienna\n0.png;26.01\n1.png;27.05\n")
    assert codes(tmp_path / "marks.csv") == {"0.png": ("26.01",), "1.png": ("27.05",)}
