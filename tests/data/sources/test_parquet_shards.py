"""Parquet shards of images, as Hugging Face publishes them, are read in place."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from tests.helpers.l3d import images
from tests.helpers.shards import parquet, picture, structs
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_folder
from tmssl.data.picture import UnreadableError
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.sources.location import read_bytes
from tmssl.data.sources.parquet_cell import ParquetCell, read_cell
from tmssl.errors import CatalogueError

CODES = ["26.01.03", "27.05", "03.01", "26.01.03", "27.05"]


def contents(catalogue: Catalogue) -> list[bytes]:
    return [read_bytes(catalogue.location(mark)) for mark in catalogue.marks]


def told(catalogue: Catalogue) -> str:
    return "\n".join(catalogue.report.lines())


def shard(folder: Path, **further: Any) -> Path:
    return parquet(folder / "a.parquet", {"image": structs(range(5)), "vienna": CODES} | further)


def test_a_shard_gives_its_rows_as_marks_in_order_and_its_bytes_in_place(tmp_path: Path) -> None:
    catalogue = read_catalogue(shard(tmp_path))
    assert [mark.path for mark in catalogue.marks] == [
        f"a.parquet/{i:06d}/{i:03d}.png" for i in range(5)
    ]
    assert [mark.vienna for mark in catalogue.marks] == [(code,) for code in CODES]
    assert contents(catalogue) == [picture(i) for i in range(5)]
    assert catalogue.report.joined == catalogue.report.labels == 5
    assert "read as 1 Parquet shard of images in the column 'image', since it is a struct" in told(
        catalogue
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"img": structs(range(4))},
        {"picture": [picture(i) for i in range(4)]},
        {"image": pa.array([picture(i) for i in range(4)], pa.large_binary())},
        {"Logo": pa.array([picture(i, "jpeg") for i in range(4)])},
        {"blob": [None, *(picture(i, "gif") for i in range(3))]},
        {"photo": pa.array([picture(i % 2) for i in range(4)]).dictionary_encode()},
        {"media": [{"front": cell, "pages": 1} for cell in structs(range(4))]},
        {"media": [{"front": {"scan": {"bytes": picture(i)}}} for i in range(4)]},
        {"thumb": [picture(9)] * 4, "image": structs(range(4))},
        {"key": [b"\0\1\2"] * 4, "image": structs(range(4))},
    ],
    ids=lambda columns: ",".join(columns),
)
def test_the_column_of_images_is_found_by_type_name_and_content(
    tmp_path: Path, columns: dict[str, Any]
) -> None:
    catalogue = read_catalogue(parquet(tmp_path / "a.parquet", {"vienna": CODES[:4], **columns}))
    readable = [row for row in range(4) if not ("blob" in columns and row == 0)]
    assert catalogue.report.with_codes == len(readable)
    pack = build_pack(catalogue, tmp_path / "p", 32)
    assert pack.count == len(readable)
    assert not any("image" in mark.extra or "thumb" in mark.extra for mark in pack.marks)


def test_a_repository_of_the_hub_has_splits_classes_and_lists_of_classes(tmp_path: Path) -> None:
    features = {
        "image": {"_type": "Image"},
        "label": {"names": ["figurative", "word"], "_type": "ClassLabel"},
        "vienna": {"feature": {"names": ["26.01", "27.05.01"], "_type": "ClassLabel"}},
    }
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        columns = {"image": structs(range(2)), "label": [1, -1], "vienna": [[0, 1], [1]]}
        parquet(tmp_path / "data" / f"{name}.parquet", columns, features=features)
    (tmp_path / "README.md").write_text("a card")
    images(tmp_path, "assets/banner.png")
    catalogue = read_catalogue(tmp_path)
    assert [mark.split for mark in catalogue.marks] == ["validation"] * 2 + ["train"] * 4
    assert catalogue.marks[0].vienna == ("26.01", "27.05.01")
    assert [mark.extra.get("label") for mark in catalogue.marks[:2]] == ["word", None]
    assert "3 Parquet shards" in told(catalogue)
    assert "Hugging Face's schema calls it an image" in told(catalogue)


def test_old_schemas_with_lists_around_their_classes_are_known(tmp_path: Path) -> None:
    features = {
        "image": {"_type": "Image"},
        "group": [{"names": ["a", "b"], "_type": "ClassLabel"}],
    }
    columns = {"image": structs(range(2)), "group": [0, 1]}
    catalogue = read_catalogue(parquet(tmp_path / "a.parquet", columns, features=features))
    assert [mark.group for mark in catalogue.marks] == ["a", "b"]


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_rows_without_bytes_are_the_files_that_they_name(tmp_path: Path, rows: int) -> None:
    images(tmp_path, "img/b.png")
    cells = [
        {"bytes": picture(1), "path": "a.png"},
        {"bytes": None, "path": "img/b.png"},
        {"bytes": None, "path": "gone.png"},
        None,
        {"bytes": None, "path": "../secret.png"},
    ]
    Image.new("RGB", (9, 9)).save(tmp_path.parent / "secret.png")
    columns = {"image": cells, "vienna": CODES}
    catalogue = read_catalogue(parquet(tmp_path / "a.parquet", columns, rows=rows))
    assert [(mark.path, mark.vienna[0]) for mark in catalogue.marks] == [
        ("a.parquet/000000/a.png", CODES[0]),
        ("img/b.png", CODES[1]),
    ]
    assert catalogue.report.labels == 5
    assert len(catalogue.report.labels_without_image) == 3
    assert catalogue.report.outside == ("../secret.png",)
    assert (
        read_bytes(catalogue.location(catalogue.marks[1])) == (tmp_path / "img/b.png").read_bytes()
    )


def test_a_shard_whose_rows_all_name_files_is_read_too(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png")
    cells = [{"bytes": None, "path": f"{i}.png"} for i in range(2)]
    path = parquet(tmp_path / "a.parquet", {"image": cells, "vienna": CODES[:2]})
    assert [mark.path for mark in read_catalogue(path).marks] == ["0.png", "1.png"]


def test_a_table_of_files_with_copies_of_their_bytes_stays_a_table(tmp_path: Path) -> None:
    images(tmp_path, "0.png", "1.png")
    columns = {"path": ["0.png", "1.png"], "image": structs([7, 8]), "vienna": CODES[:2]}
    path = parquet(tmp_path / "marks.parquet", columns)
    assert [mark.path for mark in read_catalogue(path).marks] == ["0.png", "1.png"]
    path.rename(tmp_path / "labels.parquet")
    catalogue = read_catalogue(tmp_path)
    assert (catalogue.report.joined, catalogue.report.images) == (2, 2)


def test_a_table_without_images_or_paths_is_refused_as_before(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"vienna": CODES, "key": [b"\0\1"] * 5})
    with pytest.raises(CatalogueError, match="no column 'path'"):
        read_catalogue(path)


def test_a_pack_of_shards_is_that_of_its_files_for_any_row_groups(tmp_path: Path) -> None:
    for name, rows in (("a", 1), ("b", 7), ("c", 1000)):
        columns = {"image": structs(range(150)), "vienna": ["26.01"] * 150}
        parquet(tmp_path / "s" / f"{name}.parquet", columns, rows=rows)
    catalogue = read_catalogue(tmp_path / "s")
    pack = build_pack(catalogue, tmp_path / "p", 32, workers=2)
    (tmp_path / "f").mkdir()
    for i in range(150):
        (tmp_path / "f" / f"{i:03d}.png").write_bytes(picture(i))
    expected = build_pack(read_catalogue(tmp_path / "f"), tmp_path / "q", 32)
    for begin in (0, 150, 300):
        assert np.array_equal(pack.read(range(begin, begin + 150)), expected.read(range(150)))


def test_rows_are_read_in_any_order(tmp_path: Path) -> None:
    path = str(parquet(tmp_path / "a.parquet", {"image": structs(range(40))}, rows=9))
    for row in (39, 0, 17, 17, 16, 8, 9, 26, 27, 3):
        assert read_cell(ParquetCell(path, row, "image.bytes")) == picture(row)
    with pytest.raises(UnreadableError, match="fewer rows"):
        read_cell(ParquetCell(path, 40, "image.bytes"))
    parquet(Path(path), {"image": structs(range(90, 100))})
    assert read_cell(ParquetCell(path, 3, "image.bytes")) == picture(93)
    Path(path).unlink()
    with pytest.raises(UnreadableError, match="No such file"):
        read_cell(ParquetCell(path, 3, "image.bytes"))


def test_damage_costs_the_rows_behind_it_in_its_row_group_alone(tmp_path: Path) -> None:
    path = shard(tmp_path)
    catalogue = read_catalogue(path)
    data = bytearray(path.read_bytes())
    begin = data.index(picture(0)[20:60])
    data[begin - 60 : begin - 20] = b"\xff" * 40
    path.write_bytes(data)
    pack = build_pack(catalogue, tmp_path / "p", 32)
    assert 1 <= pack.count < 5
    assert all(reason for _, reason in pack.quarantine)
    assert pack.marks[pack.count - 1].path.startswith("a.parquet/000004")


def test_the_fingerprint_is_of_contents_and_the_same_for_a_copy(tmp_path: Path) -> None:
    first = read_catalogue(shard(tmp_path / "a"))
    assert read_catalogue(shard(tmp_path / "b")).fingerprint == first.fingerprint
    other = tmp_path / "c" / "a.parquet"
    other.parent.mkdir()
    data = (tmp_path / "a" / "a.parquet").read_bytes()
    pixel = data.index(b"IDAT") + 8
    other.write_bytes(data[:pixel] + bytes([data[pixel] ^ 1]) + data[pixel + 1 :])
    changed = read_catalogue(other)
    assert changed.marks == first.marks
    assert changed.fingerprint != first.fingerprint
    assert pack_folder(changed, 32) != pack_folder(first, 32)


def test_an_interrupted_build_goes_on(tmp_path: Path) -> None:
    columns = {"image": structs(range(200))}
    catalogue = read_catalogue(parquet(tmp_path / "a.parquet", columns, rows=50))
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        build_pack(catalogue, tmp_path / "p", 32, workers=1, stop=lambda: next(asked))
    counts: list[int] = []
    build_pack(
        catalogue, tmp_path / "p", 32, workers=1, progress=lambda done, _: counts.append(done)
    )
    assert counts[0] == 128


def test_shards_of_two_kinds_are_refused(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", {"image": structs(range(2))})
    parquet(tmp_path / "b.parquet", {"picture": structs(range(2))})
    with pytest.raises(CatalogueError, match=r"b\.parquet has no images in 'image\.bytes'"):
        read_catalogue(tmp_path)
