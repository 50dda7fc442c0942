import json
import os
import shutil
from pathlib import Path

import pytest

from tests.helpers.images import encoded, logo
from tests.helpers.l3d import images
from tests.helpers.marks import draw_marks
from tmssl.data.formats import missing
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.data.sources.folder import AllowedFolders, read_folder
from tmssl.errors import CatalogueError


def test_a_folder_is_read_at_any_depth_without_hidden_files(tmp_path: Path) -> None:
    images(tmp_path, "b.PNG", "a/c.jpg", "a/deep/d.webp", ".hidden/x.png", ".y.png")
    (tmp_path / "notes.txt").write_text("x")
    catalogue = read_catalogue(tmp_path)
    assert [mark.path for mark in catalogue.marks] == ["a/c.jpg", "a/deep/d.webp", "b.PNG"]
    assert read_folder(tmp_path, AllowedFolders(tmp_path)).images == [
        mark.path for mark in catalogue.marks
    ]
    assert catalogue.report.images == 3
    assert catalogue.report.labels == 0


def test_labels_inside_a_folder_are_found_and_counted(tmp_path: Path) -> None:
    catalogue = read_catalogue(draw_marks(tmp_path, 10, validation=2))
    report = catalogue.report
    assert (report.images, report.labels, report.joined, report.with_codes) == (10, 10, 10, 10)
    assert report.validation == 2
    assert catalogue.marks[0].vienna == ("03.01",)
    assert catalogue.marks[1].group == "g0"
    assert "10 label rows, 10 joined" in report.lines()[1]


def test_a_csv_keeps_its_further_columns_and_tells_what_it_lost(tmp_path: Path) -> None:
    images(tmp_path, "img/a.png", "img/b.png", "img/c.png")
    (tmp_path / "t.csv").write_text(
        "\ufeffpath;vienna;owner;split\nimg/a.png;26.1.3, 27.5;Acme;val\nB.PNG;bird;;\nimg/a.png;1.1;;\n"
        "img/none.png;1.1;;\n",
        encoding="utf-8",
    )
    catalogue = read_catalogue(tmp_path / "t.csv")
    assert [mark.path for mark in catalogue.marks] == ["img/a.png", "img/b.png"]
    first = catalogue.marks[0]
    assert first.vienna == ("26.01.03", "27.05")
    assert first.extra == {"owner": "Acme"}
    assert first.split == "validation"
    report = catalogue.report
    assert report.bad_codes == ("bird",)
    assert report.duplicates == ("img/a.png",)
    assert report.labels_without_image == ("img/none.png",)
    assert report.joined == 2
    assert "1 code that does not parse: bird" in "\n".join(report.lines())


def test_json_lines_and_parquet_are_tables_too(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    images(tmp_path, "a.png", "b.png")
    rows = [
        {"path": "a.png", "vienna": ["26.1.3", "3.7"], "year": None},
        {"path": "b.png", "vienna": None, "year": 2001},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    table = pa.Table.from_pylist(rows)
    parquet.write_table(table, tmp_path / "t.parquet")
    for name in ("t.jsonl", "t.parquet"):
        marks = read_catalogue(tmp_path / name).marks
        assert [mark.vienna for mark in marks] == [("03.07", "26.01.03"), ()]
        assert marks[1].extra == {"year": "2001"}


def test_l3d_as_published_joins_in_spite_of_its_case(tmp_path: Path) -> None:
    images(tmp_path, "images/0a1b.jpg", "images/2c3d.jpg", "images/4e5f.jpg")
    (tmp_path / "results.json").write_text(
        json.dumps(
            [
                {
                    "file": "0A1B.JPG",
                    "text": "FOO",
                    "vienna_codes": ["26.01.03", "27.05.01"],
                    "year": 2001,
                },
                {"file": "2c3d.JPG", "text": None, "vienna_codes": "03.07.16", "year": 2002},
                {"file": "9999.JPG", "text": None, "vienna_codes": [], "year": 2002},
            ]
        )
    )
    catalogue = read_catalogue(tmp_path)
    by_path = {mark.path: mark for mark in catalogue.marks}
    assert by_path["images/0a1b.jpg"].vienna == ("26.01.03", "27.05.01")
    assert by_path["images/0a1b.jpg"].title == "FOO"
    assert by_path["images/2c3d.jpg"].vienna == ("03.07.16",)
    assert by_path["images/2c3d.jpg"].title == ""
    assert by_path["images/4e5f.jpg"].vienna == ()
    assert catalogue.report.labels_without_image == ("9999.JPG",)
    assert catalogue.report.images_without_label == ("images/4e5f.jpg",)


def test_a_name_that_two_images_share_is_an_error_with_both(tmp_path: Path) -> None:
    images(tmp_path, "x/a.png", "y/a.png", "b.png", "c.png")
    (tmp_path / "labels.csv").write_text("path,vienna\nA.png,1.1\nb.png,1.1\n")
    with pytest.raises(CatalogueError, match=r"A\.png, which may be x/a\.png or y/a\.png"):
        read_catalogue(tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file,vienna\na.png,1.1\n", r"has no column 'path'.*it has file, vienna"),
        ("path,vienna\n", "has no rows"),
        ("path,vienna\na.png,bird\n", r"none of its 1 Vienna codes parses, such as 'bird'"),
        (
            "path,vienna\n" + "".join(f"no{i}.png,1.1\n" for i in range(40)),
            r"only 0 of 40 labels found their image; the labels name no0.png",
        ),
        ("", "has no column 'path'"),
    ],
)
def test_bad_tables_say_what_to_do(tmp_path: Path, table: str, message: str) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(CatalogueError, match=message) as caught:
        read_catalogue(tmp_path / "t.csv")
    assert "\n" not in str(caught.value)


def test_bad_sources_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no images in"):
        read_catalogue(tmp_path)
    with pytest.raises(CatalogueError, match="there is nothing at"):
        read_catalogue(tmp_path / "none")
    (tmp_path / "x.doc").write_text("x")
    with pytest.raises(CatalogueError, match=r"neither a folder, nor a \.tar or \.zip"):
        read_catalogue(tmp_path / "x.doc")
    (tmp_path / "x.jsonl").write_text("{oops")
    with pytest.raises(CatalogueError, match="cannot read"):
        read_catalogue(tmp_path / "x.jsonl")
    (tmp_path / "y.jsonl").write_text('{"path": "a\\u0000.png"}')
    with pytest.raises(CatalogueError, match="holds a NUL"):
        read_catalogue(tmp_path / "y.jsonl")


def test_the_fingerprint_tells_labels_and_files_apart(tmp_path: Path) -> None:
    draw_marks(tmp_path / "a", 6)
    draw_marks(tmp_path / "b", 6)
    first = read_catalogue(tmp_path / "a").fingerprint
    assert read_catalogue(tmp_path / "b").fingerprint == first
    labels = tmp_path / "b" / "labels.csv"
    labels.write_text(labels.read_text().replace("g0", "g9"))
    assert read_catalogue(tmp_path / "b").fingerprint != first


def filed_as(folder: Path, name: str, kind: str) -> None:
    """A picture of a kind under any name."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "SVG":
        text = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="5"/></svg>'
        (folder / name).write_text(f"<?xml version='1.0'?>\n<!-- by hand -->\n{text}")
    else:
        (folder / name).write_bytes(encoded(logo(), kind).getvalue())


ODD_NAMES = {
    "JPEG": ("a.jfif", "b.jpe", "c.JPG_large", "d", "e.jpg!d", "f.bin", "g.img.1", "h.php"),
    "PNG": ("a.dat", "b"),
    "GIF": ("a.gif_",),
    "WEBP": ("a.wbp", "b"),
    "TIFF": ("a.tff",),
    "BMP": ("a.dib", "b"),
    "SVG": ("a.svg", "b.svgz.txt.svg", "c.image"),
}


@pytest.mark.parametrize("kind", list(ODD_NAMES))
@pytest.mark.parametrize("form", ["folder", "tar", "zip"])
def test_pictures_are_found_by_their_first_bytes(tmp_path: Path, kind: str, form: str) -> None:
    folder = tmp_path / "m"
    for name in ODD_NAMES[kind]:
        filed_as(folder, name, kind)
    for name in ("notes", "x.bin", "BMP.doc", "README"):
        (folder / name).write_bytes(b"BM is a word, and this is text" + bytes(9))
    (folder / "empty").touch()
    source = folder if form == "folder" else Path(shutil.make_archive(str(folder), form, folder))
    catalogue = read_catalogue(source)
    assert sorted(mark.path for mark in catalogue.marks) == sorted(ODD_NAMES[kind])
    assert build_pack(catalogue, tmp_path / "p", 32).count == len(ODD_NAMES[kind])
    assert catalogue.report.files.reasons == {"no suffix": 3, ".bin": 1, ".doc": 1}


def test_a_picture_that_needs_an_extra_is_counted_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tmssl.data.formats.importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr("tmssl.data.formats._pillow_reads_avif", lambda: False)
    missing.cache_clear()
    filed_as(tmp_path, "a.png", "PNG")
    filed_as(tmp_path, "b.svg", "SVG")
    filed_as(tmp_path, "c", "SVG")
    (tmp_path / "d.heic").write_bytes(b"\0\0\0\x1cftypheic" + bytes(20))
    (tmp_path / "e.bin").write_bytes(b"\0\0\0\x1cftypavif" + bytes(20))
    report = read_catalogue(tmp_path).report
    missing.cache_clear()
    assert report.files.reasons == {
        "SVG needs resvg-py: pip install 'tmssl[formats]'": 2,
        "HEIF needs pillow-heif: pip install 'tmssl[formats]'": 1,
        "AVIF needs pillow-avif-plugin: pip install 'tmssl[formats]'": 1,
    }
    assert "pip install 'tmssl[formats]' 2" in "\n".join(report.lines())


def test_nothing_waits_for_a_pipe_among_images(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    os.mkfifo(tmp_path / "pipe")
    report = read_catalogue(tmp_path).report
    assert (report.images, report.files.reasons) == (1, {"no suffix": 1})
