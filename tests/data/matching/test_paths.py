"""A label means the image with the longest common ending; where two fit, it is an error, never a guess."""

import random
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.l3d import images
from tmssl.data.matching.paths import Matches, match_labels
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import CatalogueError

BOTH = ["train/a.png", "test/a.png", "test/b c.png"]


def meant(label: str, files: list[str], root: str = "/home/u/my-marks") -> str:
    """The image that one label means, or nothing."""
    return match_labels([label], files, root=root).image_of.get(label, "")


ROOTS = [
    "/content/drive/MyDrive/set/",
    "/kaggle/input/set/",
    "C:\\Users\\me\\set\\",
    "D:/set/",
    "c:",
    "\\\\server\\share\\set\\",
    "s3://bucket/set/",
    "gs://bucket/",
    "hdfs:///user/me/set/",
    "dbfs:/mnt/set/",
    "https://cdn.example.org/marks/v1/",
    "HTTPS://CDN.EXAMPLE.ORG/",
    "file:///C:/set/",
    "file:///content/set/",
    "~/set/",
    "../",
    "./",
    "my-marks/",
    "MY-MARKS\\",
    "../my-marks/",
    "data/my-marks/",
]


@pytest.mark.parametrize("root", ROOTS)
@pytest.mark.parametrize("path", BOTH)
def test_a_foreign_root_leaves_the_ending_to_decide(root: str, path: str) -> None:
    label = root + (path.replace("/", "\\") if "\\" in root else path)
    assert meant(label, BOTH) == path


def wide(text: str) -> str:
    """A text in the full width of East Asian letters."""
    return "".join(chr(ord(letter) + 0xFEE0) for letter in text)


@pytest.mark.parametrize(
    ("label", "file"),
    [
        ("img/My%20Mark.png", "img/My Mark.png"),
        ("https://x.org/img/My%20Mark.png", "img/My Mark.png"),
        ("https://x.org/img/My%2520Mark.png", "img/My Mark.png"),
        ("https://x.org/img/My+Mark.png", "img/My Mark.png"),
        ("https://x.org/img/caf%C3%A9.png?v=3", "img/café.png"),
        ("https://x.org/img%2FMy%20Mark.png?alt=media&token=1", "img/My Mark.png"),
        ("https://x.org/img/000.png?w=300&h=300", "img/000.png"),
        ("https://x.org/img/000.png#logo", "img/000.png"),
        ("https://x.org/img/000.png;jsessionid=1?x=2", "img/000.png"),
        ("https://x.org/get?w=300&file=img/000.png", "img/000.png"),
        ("s3://bucket/img/000.png?versionId=abc", "img/000.png"),
        ("img/000.png?raw=true", "img/000.png"),
        ("000.png", "img/000.png"),
        ("a b.png", "img/a%20b.png"),
        ("img/100%.png", "img/100%.png"),
        ("img/C#.png", "img/C#.png"),
        ("img/C%23.png", "img/C#.png"),
        ("img/who?.png", "img/who?.png"),
        ("img/a;b.png", "img/a;b.png"),
        ("a+b.png", "img/a+b.png"),
        ("https://x.org/a+b.png", "a+b.png"),
        (" 000.png", "img/ 000.png"),
        ("000.png  ", "img/000.png"),
        ("img / 000.png", "img/000.png"),
        ("\u3000000.png", "img/000.png"),
        (wide("007.png"), "img/007.png"),
        ("img/007.png", f"img/{wide('007')}.png"),
        ("img/ｱﾊﾞ.png", "img/アバ.png"),
        ("IMG/STRASSE.PNG", "img/straße.png"),
        (
            unicodedata.normalize("NFD", "ïmg/café.png"),
            unicodedata.normalize("NFC", "ïmg/café.png"),
        ),
        (
            unicodedata.normalize("NFC", "Ïmg/café.png"),
            unicodedata.normalize("NFD", "ïmg/café.png"),
        ),
        ("./img/./x/../000.png", "img/000.png"),
        ("img//000.png", "img/000.png"),
        ("img/000.jpg", "img/000.jfif"),
        ("img/000", "img/000.webp"),
    ],
)
def test_a_path_is_known_however_it_is_written(label: str, file: str) -> None:
    others = ["img/other.png", "img/000x.png", "zzz.png"]
    assert meant(label, [file, *others]) == file


def test_an_exact_spelling_wins_over_every_other() -> None:
    files = ["a b.png", "a%20b.png", "a+b.png", "A b.png", "a  b.png", "x/a b.png"]
    for file in files:
        assert meant(file, files) == file
        assert meant(f"./{file}", files) == file
    assert meant("/content/x/A b.png", ["x/A b.png", "x/a b.png"]) == "x/A b.png"


CONTRADICTIONS = [
    ("nike/1.png", ["apple/1.png"]),
    ("nike/1.png", ["apple/1.jpg"]),
    ("nike\\1.png", ["apple/1.png", "adidas/1.png"]),
    ("./nike/1.png", ["apple/1.png"]),
    ("nike/1.png", ["nike/2.png", "1.png"]),  # nike is here, and has no 1.png
    ("nike/logos/1.png", ["apple/logos/1.png"]),
    ("brands/nike/1.png", ["brands/apple/1.png", "nike/2.png"]),
    ("nike/1", ["apple/1.png"]),
    ("NIKE/1.PNG", ["apple/1.png"]),
    ("nike%2F1.png", ["apple/1.png"]),
    ("../nike/1.png", ["1.png"]),
    ("/data/nike/1.png", ["apple/1.png", "adidas/2.png"]),
    ("https://x.org/nike/1.png", ["apple/1.png", "nike/2.png"]),
]


@pytest.mark.parametrize(("label", "files"), CONTRADICTIONS)
def test_a_file_name_never_wins_over_a_folder_that_contradicts_it(
    label: str, files: list[str]
) -> None:
    matches = match_labels([label, files[-1]], files)
    assert matches.image_of == {files[-1]: files[-1]}
    assert not matches.doubts


DOUBTS = [
    (["a.png"], ["x/a.png", "y/a.png"]),
    (["a"], ["a.png", "a.jpg"]),
    (["x/a.png"], ["p/x/a.png", "q/x/a.png"]),
    (["https://x.org/a.png"], ["x/a.png", "y/a.png"]),
    (["/content/a.png"], ["x/a.png", "y/a.png"]),
    (["D:\\old\\x\\a.png"], ["p/x/a.png", "q/x/a.png"]),
    (["x/A.PNG"], ["x/a.png", "x/A.png"]),
    (["a%2520b.png"], ["a%20b.png", "a b.png"]),
    (["x/a.jpg", "y/a.jpg"], ["a.jpg"]),
    (["C:\\x\\a.jpg", "C:\\y\\a.jpg"], ["a.jpg"]),
    (["A.png", "A.jpg"], ["a.webp"]),
]


@pytest.mark.parametrize(("labels", "files"), DOUBTS)
def test_doubt_joins_nothing_and_names_the_candidates(labels: list[str], files: list[str]) -> None:
    matches = match_labels(labels, files)
    assert matches.image_of == {}
    (name, candidates), *none = matches.doubts.items()
    assert not none
    assert (name in labels, set(candidates)) in ((True, set(files)), (False, set(labels)))


def test_doubt_is_one_line_with_both_candidates(tmp_path: Path) -> None:
    images(tmp_path, "x/a.png", "y/a.png", "z/b.png")
    (tmp_path / "labels.csv").write_text("path,vienna\nC:\\old\\a.png,26.01\nb.png,26.01\n")
    with pytest.raises(
        CatalogueError, match=r"a\.png, which may be x/a\.png or y/a\.png"
    ) as caught:
        read_catalogue(tmp_path)
    assert "\n" not in str(caught.value)


def test_folders_that_contradict_everywhere_are_told(tmp_path: Path) -> None:
    images(tmp_path, "apple/1.png", "apple/2.png")
    (tmp_path / "labels.csv").write_text("path,vienna\nnike/1.png,26.01\nnike/2.png,26.01\n")
    with pytest.raises(CatalogueError, match="2 labels would fit by file name, but not by folder"):
        read_catalogue(tmp_path)


def test_the_name_of_the_folder_itself_decides_between_labels() -> None:
    labels = ["2019/1.png", "2020/1.png", "2019/2.png"]
    matches = match_labels(labels, ["1.png", "2.png"], root="/data/2020")
    assert matches.image_of == {"2020/1.png": "1.png"}
    assert match_labels(labels, ["1.png", "2.png"], root="/data/marks").doubts == {
        "1.png": ("2019/1.png", "2020/1.png")
    }


def test_the_root_of_another_machine_may_differ_if_it_is_one_for_all() -> None:
    labels = [f"/content/data/{part}/1.png" for part in ("train", "test")]
    files = ["images/train/1.png", "images/test/1.png"]
    matches = match_labels(labels, files)
    assert list(matches.image_of.values()) == files
    assert matches.roots == {("/content/data", "images"): 2}
    assert match_labels(["data/train/1.png"], files).image_of == {}  # a plain path contradicts
    mixed = ["/a/data/train/1.png", "/b/other/2.png"]
    assert match_labels(mixed, ["images/train/1.png", "images/train/2.png"]).image_of == {}


@pytest.mark.parametrize(
    "label",
    ["linked/1.png", "Linked/1.PNG", "/content/linked/1.png", "gone.png", "./gone.png", "GONE.png"],
)
def test_what_was_left_out_is_meant_by_its_label_and_by_nothing_else(label: str) -> None:
    files = ["x/1.png", "1.png", "y/gone.png"]
    matches = match_labels([label], files, left_out=["linked", "gone.png"])
    assert matches.image_of == {}


def test_a_label_in_a_folder_of_its_own_labels_means_an_image_there(tmp_path: Path) -> None:
    images(tmp_path, "nike/1.png", "nike/in/2.png", "apple/1.png", "apple/3.png")
    (tmp_path / "nike" / "labels.csv").write_text(
        "path,title\n1.PNG,one\n2.png,two\n3.png,three\nNike/1.jpg,again\n"
    )
    (tmp_path / "apple" / "labels.csv").write_text(
        "path,title\n2.png,two\n/content/apple/3.png,3\n"
    )
    catalogue = read_catalogue(tmp_path)
    titles = {mark.path: mark.title for mark in catalogue.marks}
    assert titles == {
        "nike/1.png": "one",
        "nike/in/2.png": "two",
        "apple/1.png": "",
        "apple/3.png": "3",
    }
    lost = catalogue.report.labels_without_image
    assert set(lost) == {"nike/3.png", "apple/2.png", "nike/Nike/1.jpg"}


def test_a_data_set_behind_a_link_is_known_by_both_names(tmp_path: Path) -> None:
    images(tmp_path / "disk" / "set", "train/a.png", "test/a.png")
    link = tmp_path / "marks"
    link.symlink_to(tmp_path / "disk" / "set")
    for root in (link, tmp_path / "disk" / "set"):
        for source in (link, link.resolve()):
            text = f"path,title\n{root}/train/a.png,first\n{root}/test/a.png,second\n"
            (link / "labels.csv").write_text(text)
            marks = read_catalogue(source).marks
            assert [mark.title for mark in marks] == ["second", "first"]


def test_a_file_of_this_machine_outside_the_source_is_no_image_of_it(tmp_path: Path) -> None:
    images(tmp_path / "other", "a.png")
    images(tmp_path / "set", "a.png", "b.png")
    (tmp_path / "set" / "labels.csv").write_text(
        f"path,title\n{tmp_path}/other/a.png,wrong\n/content/b.png,right\n"
    )
    marks = read_catalogue(tmp_path / "set").marks
    assert [mark.title for mark in marks] == ["", "right"]


parts = st.sampled_from(["a", "B", "train", "é", "x y", "100%", "ﾊ", "v1.2"])
trees = st.lists(
    st.tuples(st.lists(parts, max_size=3), parts, st.sampled_from([".png", ".JPG"])).map(
        lambda item: "/".join([*item[0], item[1] + item[2]])
    ),
    unique_by=lambda path: unicodedata.normalize("NFKC", path).casefold(),
    min_size=1,
    max_size=8,
)


def rewritten(path: str, dice: random.Random) -> Iterator[str]:
    """Spellings of one path by people and programs."""
    from urllib.parse import quote

    yield path
    yield f"./{path}"
    yield path.replace("/", "\\")
    yield f" {path} "
    yield unicodedata.normalize(dice.choice(["NFC", "NFD"]), path)
    yield f"/content/drive/{path}"
    yield "C:\\data\\" + path.replace("/", "\\")
    yield f"https://x.org/d/{quote(path)}?w={dice.randrange(9)}"
    yield f"s3://bucket/{quote(quote(path))}"
    yield path.swapcase() if path.isascii() else path


@given(trees, st.randoms(use_true_random=False))
def test_what_was_written_is_what_is_joined(files: list[str], dice: random.Random) -> None:
    labels = {dice.choice(list(rewritten(path, dice))): path for path in files}
    matches: Matches = match_labels(labels, files, root="/home/u/marks")
    for label, image in matches.image_of.items():
        assert image == labels[label]
    for label in labels:
        told = label in matches.doubts or any(label in of for of in matches.doubts.values())
        assert label in matches.image_of or told
