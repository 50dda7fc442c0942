"""Labels find their images through every spelling of a path, and never by a guess."""

import json
import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.l3d import images, l3d
from tests.helpers.marks import draw_marks
from tmssl.data.matching.paths import match_labels
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import Catalogue, read_catalogue
from tmssl.data.sources.folder import AllowedFolders, read_folder
from tmssl.errors import CatalogueError


@pytest.mark.parametrize(
    "label",
    "img/Ab.JPG ./img/Ab.JPG img\\Ab.JPG IMG/AB.jpg ab.jpg set/img/AB.JPG ab Ab.png".split(),
)
def test_a_label_finds_its_image_however_it_is_spelled(label: str) -> None:
    assert match_labels([label], ["img/Ab.JPG", "img/b.jpg"]).image_of == {label: "img/Ab.JPG"}


@pytest.mark.parametrize(
    ("labels", "files"),
    [
        (["a.jpg"], ["x/a.jpg", "y/a.jpg"]),  # two images of that name
        (["a"], ["a.jpg", "a.png"]),  # two images of that stem
        (["x/a.jpg", "y/a.jpg"], ["a.jpg"]),  # two labels of that name
        (["b.jpg"], ["a.jpg"]),
    ],
)
def test_doubt_joins_nothing(labels: list[str], files: list[str]) -> None:
    assert match_labels(labels, files).image_of == {}


def test_a_looser_spelling_never_takes_an_image_from_its_own_label() -> None:
    labels = ["gone/a.jpg", "here/a.jpg"]
    assert match_labels(labels, ["here/a.jpg"]).image_of == {"here/a.jpg": "here/a.jpg"}


def test_the_same_path_written_twice_is_a_duplicate_not_a_loss(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "labels.csv").write_text("path,title\na.png,first\n./a.png,second\n")
    catalogue = read_catalogue(tmp_path)
    assert catalogue.report.duplicates == ("a.png",)
    assert catalogue.report.labels_without_image == ()
    assert catalogue.marks[0].title == "first"


names = st.lists(
    st.tuples(
        st.sampled_from(["", "x/", "y/"]),
        st.sampled_from("abcAB"),
        st.sampled_from([".jpg", ".JPG", ".png"]),
    ).map("".join),
    unique=True,
    max_size=8,
)


@given(names, names, st.randoms(use_true_random=False))
def test_a_join_gives_each_image_at_most_one_label_in_any_order(
    labels: list[str], files: list[str], dice: random.Random
) -> None:
    found = match_labels(labels, files).image_of
    assert set(found) <= set(labels)
    assert set(found.values()) <= set(files)
    assert len(set(found.values())) == len(found)
    assert all(found[label] == label for label in labels if label in files)
    dice.shuffle(labels)
    dice.shuffle(files)
    assert match_labels(labels, files).image_of == found


def test_what_the_report_counts_adds_up(tmp_path: Path) -> None:
    images(tmp_path, *(f"{i}.png" for i in range(10)))
    rows = [f"{i}.png,26.1;nonsense" for i in range(7)] + ["3.png,1.1", "gone.png,1.1"]
    (tmp_path / "labels.csv").write_text("path,vienna\n" + "\n".join(rows))
    report = read_catalogue(tmp_path).report
    lost, twice = report.labels_without_image, report.duplicates
    assert (report.labels, report.joined, len(lost), len(twice)) == (9, 7, 1, 1)
    assert report.joined + len(report.images_without_label) == report.images == 10
    told = "\n".join(report.lines())
    for words in (
        "9 label rows, 7 joined",
        "3 images without a label: 7.png, 8.png, 9.png",
        "1 label without an image: gone.png",
        "7 codes that do not parse, such as nonsense",
        "1 image named more than once: 3.png",
    ):
        assert words in told


def test_a_join_that_lost_nearly_everything_shows_both_sides(tmp_path: Path) -> None:
    images(tmp_path, "logo-1.png", "logo-2.png")
    rows = [{"file": f"{i:04x}.JPG", "vienna_codes": ["26.01"]} for i in range(40)]
    (tmp_path / "results.json").write_text(json.dumps(rows))
    message = r"only 0 of 40 labels found.*the labels name 0000\.JPG.*the images are logo-1\.png"
    with pytest.raises(CatalogueError, match=message):
        read_catalogue(tmp_path)


def test_the_yearly_files_of_l3d_are_read_together(tmp_path: Path) -> None:
    images(tmp_path, "images/a.jpg", "images/b.jpg")
    for year, name in ((2001, "a"), (2002, "b")):
        row = {"file": f"{name.upper()}.JPG", "vienna_codes": "['26.01.03', '03.07']", "year": year}
        (tmp_path / f"output_{year}.json").write_text(json.dumps([row]))
    catalogue = read_catalogue(tmp_path)
    assert catalogue.report.joined == 2
    assert [mark.vienna for mark in catalogue.marks] == [("03.07", "26.01.03")] * 2
    assert [mark.extra["year"] for mark in catalogue.marks] == ["2001", "2002"]


def test_labels_may_name_images_by_their_whole_path(tmp_path: Path) -> None:
    images(tmp_path, "x/a.png", "y/a.png")
    (tmp_path / "labels.csv").write_text(f"path,title\n{tmp_path}/y/a.png,yes\n")
    titles = [mark.title for mark in read_catalogue(tmp_path).marks]
    assert titles == ["", "yes"]


def test_a_table_may_name_images_of_a_folder_that_was_allowed(tmp_path: Path) -> None:
    images(tmp_path, "far/a.png", "near/b.png")
    table = tmp_path / "near" / "t.csv"
    table.write_text(f"path\n../far/a.png\n{tmp_path}/near/b.png\n")
    catalogue = read_catalogue(table, tmp_path)
    assert catalogue.report.joined == 2
    assert build_pack(catalogue, tmp_path / "p", 32).count == 2


@pytest.mark.parametrize(
    "path",
    ["a\\u0000.png", "\\ud800.png", "x" * 5000, "/", "..", "\\u202e.png", "a.png/b.png", "."],
)
def test_a_path_that_no_file_can_have_is_one_line(tmp_path: Path, path: str) -> None:
    images(tmp_path, "a.png")
    (tmp_path / "t.jsonl").write_text(f'{{"path": "{path}"}}')
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(tmp_path / "t.jsonl")
    assert str(caught.value).isprintable()


def test_names_that_are_not_utf_8_are_left_out_and_told(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    odd = os.path.join(os.fsencode(tmp_path), b"caf\xe9.png")  # noqa: PTH118 - bytes
    with open(odd, "wb") as file:  # noqa: PTH123 - bytes
        file.write((tmp_path / "a.png").read_bytes())
    catalogue = read_catalogue(tmp_path)
    assert [mark.path for mark in catalogue.marks] == ["a.png"]
    assert "1 file left out because its name is not UTF-8" in catalogue.report.lines()[-1]
    assert build_pack(catalogue, tmp_path / "p", 32).count == 1


def test_nulls_and_broken_unicode_in_labels_are_harmless(tmp_path: Path) -> None:
    images(tmp_path, "a.png")
    row = {
        "path": "a.png",
        "id": None,
        "title": "\ud800x",
        "group": float("nan"),
        "year": 7,
        "vienna": [None, 26.01],
    }
    (tmp_path / "labels.jsonl").write_text("\n" + json.dumps(row))
    catalogue = read_catalogue(tmp_path)
    mark = catalogue.marks[0]
    assert (mark.id, mark.title, mark.group, mark.extra) == ("", "?x", "", {"year": "7"})
    assert mark.vienna == ("26.01",)
    assert list(build_pack(catalogue, tmp_path / "p", 32).marks) == [mark]


@pytest.mark.parametrize("split", ["val", "Validation", "TEST", " dev ", "query"])
def test_what_a_table_holds_out_is_not_trained_on(tmp_path: Path, split: str) -> None:
    images(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text(f"path,split\na.png,{split}\nb.png,train\n")
    catalogue = read_catalogue(tmp_path)
    assert [mark.split for mark in catalogue.marks] == ["validation", "train"]


@pytest.mark.parametrize(
    "header", ["path\tvienna", "Path;Vienna", " path , vienna ", '"path","vienna"']
)
def test_headers_are_read_in_any_case_with_any_delimiter(tmp_path: Path, header: str) -> None:
    images(tmp_path, "a.png")
    delimiter = next(letter for letter in "\t;," if letter in header)
    (tmp_path / "t.csv").write_text(f"{header}\na.png{delimiter}26.1\n")
    assert read_catalogue(tmp_path / "t.csv").marks[0].vienna == ("26.01",)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", "path\ncaf\xe9.png\n".encode("latin-1"), "is not UTF-8; save it as UTF-8"),
        ("t.jsonl", b'{"path": "a.png"}\n{"path": \n', "line 2"),
        ("t.jsonl", b'{"path": "a.png"}\n[]\n', "line 2: a row should be an object"),
        ("t.jsonl", b"\n\n", "has no rows"),
        ("t.jsonl", b'{"file": "a.png"}', "has no column 'path'"),
        ("t.json", b'{"a": 1}', "should hold a list of objects"),
        ("t.json", b"[" * 100_000, "cannot read"),
        ("t.parquet", b"PAR1 not really", "cannot read"),
        ("t.csv", b'path\n"' + b"x" * (1 << 21), "cannot read"),
    ],
)
def test_damaged_tables_are_one_line(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    images(tmp_path, "a.png")
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CatalogueError, match=message) as caught:
        read_catalogue(tmp_path / name)
    assert str(caught.value).isprintable()


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t.parquet").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CatalogueError, match=r"pip install 'tmssl\[parquet\]'"):
        read_catalogue(tmp_path / "t.parquet")


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    images(tmp_path / "disk", "a.png")
    images(tmp_path / "set", "b.png")
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path / "set")
    assert read_folder(tmp_path / "set", AllowedFolders(tmp_path)).images == [
        "b.png",
        "linked/a.png",
    ]


def test_a_copy_has_the_same_fingerprint_and_a_changed_image_another(tmp_path: Path) -> None:
    first, second = (read_catalogue(draw_marks(tmp_path / name, 5)) for name in "ab")
    assert first.fingerprint == second.fingerprint
    with (tmp_path / "b" / "images" / "0003.png").open("ab") as file:
        file.write(b"x")
    assert read_catalogue(tmp_path / "b").fingerprint != first.fingerprint


@pytest.mark.parametrize("form", ["single", "yearly"])
def test_l3d_in_miniature_is_read_without_a_flag_and_each_defect_is_counted(
    tmp_path: Path, form: str
) -> None:
    catalogue = read_catalogue(l3d(tmp_path / form))
    report = catalogue.report
    assert (report.images, report.labels, report.joined) == (21, 23, 20)
    assert report.respelled == 20
    assert report.bare_codes == 5
    assert report.untitled == 4
    assert report.labels_without_image == ("9000-AB.JPG", "9001-AB.JPG", "9002-AB.JPG") or (
        form == "yearly" and len(report.labels_without_image) == 3
    )
    assert report.images_without_label == ("images/ffff-no-label.jpg",)
    assert report.bad_codes == ("not a code",)
    assert report.unknown_codes == ("26.98.01",)
    assert report.with_codes == 18
    by_path = {mark.path: mark for mark in catalogue.marks}
    assert by_path["images/0000-ab.jpg"].vienna == ("03.07.16",)
    assert by_path["images/0000-ab.jpg"].title == ""
    assert by_path["images/0001-ab.jpg"].vienna == ("26.01.03", "27.05.01")
    assert by_path["images/0001-ab.jpg"].extra == {"year": "1997"}
    assert build_pack(catalogue, tmp_path / "p", 32).count == 21
    told = "\n".join(report.lines())
    for words in (
        "23 label rows, 20 joined",
        "20 label rows matched by another spelling",
        "5 label rows with a bare string",
        "4 label rows without a title",
        "3 labels without an image",
        "1 image without a label",
        "1 code that does not parse: not a code",
        "1 code of a division that Vienna does not have: 26.98.01",
    ):
        assert words in told


def test_l3d_with_mangled_names_ends_with_three_examples_of_each_side(tmp_path: Path) -> None:
    folder = l3d(tmp_path / "l3d")
    for path in list((folder / "images").iterdir()):
        path.rename(path.with_name(f"logo_{path.stem[::-1]}.jpg"))
    with pytest.raises(CatalogueError) as caught:
        read_catalogue(folder)
    told = str(caught.value)
    assert "only 0 of 23 labels found their image" in told
    assert "the labels name 0000-AB.JPG, 0001-AB.JPG, 0002-AB.JPG" in told
    assert len([word for word in told.split() if "images/logo_" in word]) == 3


@pytest.mark.parametrize(
    "column", ["design_search_code", "US Design Code", "Design Search Codes", "dsc"]
)
def test_a_column_of_us_design_search_codes_is_kept_and_not_read_as_vienna(
    tmp_path: Path, column: str
) -> None:
    images(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text(f"path,vienna,{column}\na.png,27.5,26.01.21\nb.png,,\n")
    catalogue = read_catalogue(tmp_path)
    assert catalogue.marks[0].vienna == ("27.05",)
    assert catalogue.marks[0].extra == {column: "26.01.21"}
    assert catalogue.report.us_codes == ("26.01.21",)
    assert "1 US design search code, not a Vienna code" in "\n".join(catalogue.report.lines())


def test_us_codes_among_vienna_codes_are_refused_with_a_clear_word(tmp_path: Path) -> None:
    images(tmp_path, "a.png", "b.png")
    (tmp_path / "labels.csv").write_text("path,vienna\na.png,27.5; US 26.01.21\nb.png,26.1.3\n")
    report = read_catalogue(tmp_path).report
    assert (report.us_codes, report.bad_codes) == (("US 26.01.21",), ())
    (tmp_path / "labels.csv").write_text("path,vienna\na.png,USPTO 26.01.21\nb.png,DSC: 260121\n")
    with pytest.raises(CatalogueError, match=r"not a Vienna code; rename that column"):
        read_catalogue(tmp_path)


def test_labels_in_an_inner_folder_name_images_beside_them(tmp_path: Path) -> None:
    images(tmp_path, "set/img/a.png", "set/img/b.png", "other/img/a.png")
    (tmp_path / "set" / "labels.csv").write_text("path,title\nimg/a.png,first\nimg/b.png,second\n")
    catalogue = read_catalogue(tmp_path)
    titles = {mark.path: mark.title for mark in catalogue.marks}
    assert titles == {"other/img/a.png": "", "set/img/a.png": "first", "set/img/b.png": "second"}


def test_json_larger_than_a_block_is_read_item_by_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(tmp_path, *(f"{i}.png" for i in range(30)))
    rows = [
        {"file": f"{i}.PNG", "text": '\u00e9\U0001f600\\"]}[{', "vienna_codes": ["26.1"]}
        for i in range(30)
    ]
    for block in (1, 7, 64):
        monkeypatch.setattr("tmssl.data.tables.table._BLOCK", block)
        (tmp_path / "results.json").write_text(json.dumps(rows, indent=block), "utf-8")
        catalogue = read_catalogue(tmp_path)
        assert catalogue.report.joined == 30
        assert {mark.title for mark in catalogue.marks} == {rows[0]["text"]}
    (tmp_path / "results.json").write_text(json.dumps(rows)[:-40], "utf-8")
    with pytest.raises(CatalogueError, match="cannot read"):
        read_catalogue(tmp_path)


def labelled(folder: Path, table: str, count: int = 4) -> Catalogue:
    """A folder of images 0.png, 1.png, ... and labels.csv."""
    images(folder, *(f"{i}.png" for i in range(count)))
    (folder / "labels.csv").write_text(table, "utf-8")
    return read_catalogue(folder)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("vienna", "{code}"),
        ("vienna_code", "{code}"),
        ("vienna,sequence", "{code},{k}"),
        ("vienna,title", "{code},Foo"),
        ("vienna,title,group", "{code},,g"),
        ("id,vienna,phrase", "{k},{code},word {k}"),
        ("split,vienna", "val,{code}"),
    ],
)
@pytest.mark.parametrize("shuffled", [False, True])
def test_a_row_for_each_code_is_gathered(
    tmp_path: Path, header: str, cells: str, shuffled: bool
) -> None:
    codes = ["26.01.03", "27.05.01", "05.03.13"]
    lines = [
        f"{i}.png,{cells.format(code=code, k=k)}" for i in range(4) for k, code in enumerate(codes)
    ]
    if shuffled:
        random.Random(0).shuffle(lines)
    catalogue = labelled(tmp_path, "\n".join([f"path,{header}", *lines]))
    assert [mark.vienna for mark in catalogue.marks] == [tuple(sorted(codes))] * 4
    report = catalogue.report
    assert (report.labels, report.joined, report.gathered) == (12, 4, 8)
    assert (report.duplicates, report.labels_without_image) == ((), ())
    assert "8 label rows gathered, as the table has a row for each code" in "\n".join(
        report.lines()
    )


def test_what_a_row_for_each_code_adds_is_kept(tmp_path: Path) -> None:
    rows = [
        "0.png,26.1.3,,,7,circle",
        "./0.png,27.5.1,Foo,g,7,letter",
        "0.png,,,,,",
        "0.png,bird,,,,",
        "0.png,2.1,Bar,,,",
    ]
    table = "path,vienna,title,group,year,phrase\n" + "\n".join(rows)
    catalogue = labelled(tmp_path, table, 1)
    (mark,) = catalogue.marks
    assert mark.vienna == ("26.01.03", "27.05.01")
    assert (mark.title, mark.group) == ("Foo", "g")
    assert mark.extra == {"year": "7", "phrase": "circle; letter"}
    assert catalogue.report.duplicates == ("0.png",) * 3  # two add nothing, one is of another mark
    assert catalogue.report.bad_codes == ("bird",)


@pytest.mark.parametrize(
    "rows",
    [
        ["0.png,26.1.3;27.5.1,a,", "0.png,2.1,a,"],  # no row for each code
        ["0.png,26.1.3,a,", "0.png,2.1,b,"],
        ["0.png,26.1.3,,x", "0.png,2.1,,y"],
        ["0.png,26.1.3,a,x", "0.png,26.1.3,a,x"],
    ],
)
def test_rows_of_other_marks_or_without_news_are_duplicates(
    tmp_path: Path, rows: list[str]
) -> None:
    catalogue = labelled(tmp_path, "path,vienna,title,group\n" + "\n".join(rows), 1)
    assert "26.01.03" in catalogue.marks[0].vienna
    assert "02.01" not in catalogue.marks[0].vienna
    assert catalogue.report.duplicates == ("0.png",)


@pytest.mark.parametrize("place", ["nike/1.png", "nike/deep/1.png", "1.png"])
@pytest.mark.parametrize("spelled", ["{}", "./{}", "NIKE/../{}", "{} "])
def test_the_label_of_an_image_that_was_left_out_lands_on_no_other(
    tmp_path: Path, place: str, spelled: str
) -> None:
    images(tmp_path, "out/1.png", "m/apple/1.png", "m/apple/2.png")
    link = tmp_path / "m" / place
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "out" / "1.png")
    (tmp_path / "m" / "labels.csv").write_text(
        f"path,vienna\n{spelled.format(place)},26.1\napple/2.png,27.5\n"
    )
    catalogue = read_catalogue(tmp_path / "m")
    assert [mark.vienna for mark in catalogue.marks] == [(), ("27.05",)]
    assert catalogue.report.joined == 1
    assert len(catalogue.report.labels_without_image) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["marks.csv"],
            "1 table, marks.csv, is not read; give it as the source, or call it labels",
        ),
        (["a/x.csv", "b.tsv.gz", "c.JSONL"], "3 tables, such as a/x.csv, are not read"),
        (["my marks.xlsx"], "libreoffice --headless --convert-to csv 'my marks.xlsx'"),
    ],
)
def test_tables_that_nobody_reads_are_told_where_there_are_no_labels(
    tmp_path: Path, names: list[str], words: str
) -> None:
    images(tmp_path, "0.png")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("path\n0.png\n")
    assert words in read_catalogue(tmp_path).report.notes[0]
    (tmp_path / "labels.csv").write_text("path\n0.png\n")
    assert read_catalogue(tmp_path).report.notes == ()


def test_skipped_files_are_told_by_reason(tmp_path: Path) -> None:
    images(tmp_path, "0.png", ".git/1.png", ".2.png")
    for name in ("notes.txt", "MORE.TXT", "Makefile", "sub/labels.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("path\n")
    (tmp_path / "labels.csv").write_text("path\n0.png\n")
    report = read_catalogue(tmp_path).report
    assert report.files.reasons == {
        "hidden": 2,
        ".txt": 2,
        "no suffix": 1,
        "labels": 1,
        "table or archive that is not read": 1,
    }
    assert "7 files skipped: hidden 2, .txt 2" in "\n".join(report.lines())


def test_the_folder_that_was_allowed_is_searched_for_other_spellings_too(tmp_path: Path) -> None:
    images(tmp_path, "far/set/a.png", "far/set/b.png", "far/c.png")
    table = tmp_path / "tables" / "t.csv"
    table.parent.mkdir()
    lines = "/content/drive/set/A.png,1\nC:\\old\\set\\b.png,2\nC.PNG,3\n../far/set/x.png,4\n"
    table.write_text(f"path,title\n{lines}")
    catalogue = read_catalogue(table, tmp_path / "far")
    assert {mark.path: mark.title for mark in catalogue.marks} == {
        "../far/set/a.png": "1",
        "../far/set/b.png": "2",
        "../far/c.png": "3",
    }
    assert build_pack(catalogue, tmp_path / "p", 32).count == 3
