"""Images that are named by a number find the mark of that number, in every spelling of it, and no other."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.l3d import images
from tmssl.data.matching.numbers import match_numbers, parse_number
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.errors import CatalogueError


def found(number: str, *files: str, office: str = "") -> str:
    """The image of one mark."""
    numbers = {"application number": number, **({"office": office} if office else {})}
    return match_numbers({0: numbers}, files).image_of.get(0, "")


@pytest.mark.parametrize(
    ("number", "file"),
    [
        ("018000001", "018000001.png"),
        ("018000001", "18000001.jpg"),
        ("18000001", "018000001.png"),
        ("018000001", "m/EM500000018000001.png"),
        ("018000001", "em500000018000001.PNG"),
        ("EM500000018000001", "018000001.png"),
        ("EM500000018000001", "18000001.tif"),
        ("018000001", "EM018000001.png"),
        ("018000001", "EUTM-018000001.png"),
        ("EM500000018000001", "CTM 018000001.png"),
        ("018000001", "018000001-1.png"),
        ("018000001", "018000001_01.png"),
        ("018000001", "018000001 (1).png"),
        ("018000001", "018000001_image_1.png"),
        ("018000001", "EM500000018000001-1.png"),
        ("018000001", "018000001/1.png"),
        ("018000001", "EM500000018000001/image.png"),
        ("UK00003123456", "GB500000003123456.png"),
        ("73/123,456", "73123456.png"),
        ("73/123,456", "73-123456.png"),
        ("2019-012345", "2019012345.gif"),
        ("018 000 001", "018000001.png"),
        ("90", "90.png"),
        ("M3675432", "m3675432.png"),
    ],
)
def test_a_number_is_known_in_every_spelling(number: str, file: str) -> None:
    assert found(number, file, "000000077.png", "other.png") == file


@pytest.mark.parametrize(
    ("number", "file"),
    [
        ("018000001", "018000002.png"),
        ("018000001", "180000011.png"),
        ("018000001", "0180000010.png"),
        ("018000001", "118000001.png"),
        ("90", "090.png"),
        ("90", "90-1.png"),
        ("12345", "0012345.png"),
        ("EM500000018000001", "US500000018000001.png"),
        ("EM500000018000001", "US018000001.png"),
        ("018000001", "018000001-123.png"),
        ("018000001", "018000001a.png"),
        ("2019/1", "20191.png"),
        ("3675432", "M3675432.png"),
    ],
)
def test_another_number_is_another_mark(number: str, file: str) -> None:
    assert found(number, file) == ""


def test_the_office_of_a_register_tells_numbers_apart() -> None:
    files = ["EM500000018000001.png", "US500000018000001.png"]
    assert found("018000001", *files, office="EM") == files[0]
    assert found("018000001", *files, office="US") == files[1]
    assert found("018000001", files[1], office="EM") == ""
    assert match_numbers({0: {"n": "018000001"}}, files).doubts == {"018000001": tuple(files)}


def test_images_are_named_by_one_kind_of_number() -> None:
    # The registration of the second mark has the number of the application of the first.
    rows = {
        0: {"application number": "3123456", "registration number": "7000001"},
        1: {"application number": "3123457", "registration number": "3123456"},
    }
    matches = match_numbers(rows, ["3123456.png", "3123457.png"])
    assert (matches.image_of, matches.kind) == (
        {0: "3123456.png", 1: "3123457.png"},
        "application number",
    )
    matches = match_numbers(rows, ["3123456.png", "7000001.png"])
    assert (matches.image_of, matches.kind) == (
        {0: "7000001.png", 1: "3123456.png"},
        "registration number",
    )


def test_several_images_of_a_number_go_to_as_many_rows_or_are_in_doubt() -> None:
    files = ["018000001_2.png", "018000001_1.png"]
    both = {row: {"n": "018000001"} for row in (3, 4)}
    assert match_numbers(both, files).image_of == {3: files[1], 4: files[0]}
    assert match_numbers(both, files[:1]).image_of == {3: files[0], 4: files[0]}
    assert match_numbers({3: {"n": "018000001"}}, files).doubts == {"018000001": tuple(files)}
    two = {0: {"n": "018000001"}, 1: {"n": "18000001"}}
    assert match_numbers(two, files[:1]).doubts == {files[0]: ("018000001", "18000001")}


numbers = st.integers(10**6, 10**9)


@given(st.sets(numbers, min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_every_mark_gets_the_image_of_its_own_number(drawn: set[int], dice: random.Random) -> None:
    marks = sorted(drawn)
    files = []
    for number in marks:
        plain = f"{number:09d}"
        ways = [plain, str(number), f"EM50{number:013d}", f"EM{plain}", f"{plain}-1", f"x/{plain}"]
        files.append(f"{dice.choice(ways)}.png")
    matches = match_numbers({i: {"n": f"{number:09d}"} for i, number in enumerate(marks)}, files)
    assert matches.image_of == dict(enumerate(files))
    assert all(parse_number(str(number)) for number in marks)


def register(folder: Path, *marks: str) -> None:
    """TM-XML of some marks."""
    body = "".join(f"<TradeMark>{mark}</TradeMark>" for mark in marks)
    text = f"<Transaction><TradeMarkDetails>{body}</TradeMarkDetails></Transaction>"
    (folder / "register.xml").write_text(text)


def mark(number: str, uri: str = "", code: str = "26.04.01", more: str = "") -> str:
    """A mark with an image and one code."""
    codes = f"<CategoryCodeDetails><CategoryCode>{code}</CategoryCode></CategoryCodeDetails>"
    category = f"<MarkImageCategory>{codes}</MarkImageCategory>"
    file = f"<MarkImageURI>{uri}</MarkImageURI>" if uri else ""
    image = f"<MarkImageDetails><MarkImage>{file}{category}</MarkImage></MarkImageDetails>"
    return f"<ApplicationNumber>{number}</ApplicationNumber>{more}{image}"


def test_a_register_beside_images_that_are_named_by_number(tmp_path: Path) -> None:
    images(tmp_path, "img/EM500000018000001.png", "img/18000002.png", "img/x.png", "img/y.png")
    uri = "https://euipo.europa.eu/copla/image/CJ4JX4FZQ{}"
    register(
        tmp_path,
        mark("018000001", uri.format(1), "26.01.01"),
        mark("018000002", uri.format(2), "26.02.01"),
        mark("018000003", uri.format(3), "26.03.01"),
        mark("018000004", "https://x.eu/y.png?w=3", "26.04.01"),
    )
    catalogue = read_catalogue(tmp_path)
    assert {mark.path: mark.vienna for mark in catalogue.marks} == {
        "img/EM500000018000001.png": ("26.01.01",),
        "img/18000002.png": ("26.02.01",),
        "img/x.png": (),
        "img/y.png": ("26.04.01",),
    }
    assert "images named by application number: 2 rows" in "\n".join(catalogue.report.lines())
    assert all(not mark.extra for mark in catalogue.marks)


def test_an_address_with_a_folder_for_each_mark_decides_by_it(tmp_path: Path) -> None:
    images(tmp_path, "018000001/1.png", "018000002/1.png", "018000003/1.png")
    uri = "https://x.eu/marks/{}/1.png?w=300&amp;h=300"
    register(
        tmp_path,
        mark("018000001", uri.format("018000001"), "26.01.01"),
        mark("018000002", uri.format("018000002"), "26.02.01"),
        mark("018000003", "https://x.eu/image/1.png", "26.03.01"),
    )
    assert [mark.vienna for mark in read_catalogue(tmp_path).marks] == [
        ("26.01.01",),
        ("26.02.01",),
        ("26.03.01",),
    ]


def test_a_table_may_name_images_by_number(tmp_path: Path) -> None:
    images(tmp_path, "EM500000018000001.png", "018000002-1.png", "12.png")
    (tmp_path / "labels.csv").write_text("path,title\n018000001,one\n18000002,two\n012,none\n")
    report = read_catalogue(tmp_path).report
    assert (report.joined, report.labels_without_image) == (2, ("012",))


def test_two_images_of_one_number_are_an_error_with_both(tmp_path: Path) -> None:
    images(tmp_path, "018000001_1.png", "018000001_2.png", "018000002.png")
    register(tmp_path, mark("018000001"), mark("018000002"))
    with pytest.raises(CatalogueError, match=r"018000001, which may be 018000001_1.* or .*_2\.png"):
        read_catalogue(tmp_path)
