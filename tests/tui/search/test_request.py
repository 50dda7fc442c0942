"""What the fields of the search screen ask the command for."""

import dataclasses
from pathlib import Path

import msgspec
import pytest

from tests.helpers.retrieved import retrieved_run, save_known_search
from tmssl.errors import InputError
from tui.search.records import open_search
from tui.search.request import field_values, parse_request

EMPTY = {"logo": "", "words": "", "views": "", "conditions": "", "vienna": "", "above": ""}


def test_fields_become_the_words_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-odd logo.png").touch()
    filled = {
        "logo": " -odd logo.png ",
        "words": "full moon",
        "views": "6",
        "conditions": "year>=2015 'title~full moon'",
        "vienna": "3.1, 26.11.01",
        "above": "0.85",
    }
    request = parse_request(filled, ["1%,2%,3%,4%"])
    assert request.words() == [
        *("--where", "year>=2015", "--where", "title~full moon"),
        *("--vienna", "3.1", "--vienna", "26.11.01", "--crop", "1%,2%,3%,4%"),
        *(
            "--above",
            "0.85",
            "--views",
            "6",
            "--text",
            "full moon",
            "--",
            str(tmp_path / "-odd logo.png"),
        ),
    ]
    alone = parse_request({**EMPTY, "words": "moon"})
    assert alone.words() == ["--text", "moon"]


@pytest.mark.parametrize(
    ("field", "typed", "told"),
    [
        ("logo", "", "type the path of an image"),
        ("logo", "nowhere.png", "there is nothing at"),
        ("logo", "a\0b", "there is nothing at"),
        ("logo", "~nobody-of-this-name/x.png", "there is nothing at"),
        ("logo", "x" * 5000, "there is nothing at"),
        ("conditions", "year>=", "--where is 'year>='"),
        ("conditions", "'year", "where: ''year' cannot be read"),
        ("vienna", "3.1 moon", "moon"),
        ("views", "-2", "views is '-2'; give how many"),
        ("above", "high", "above is 'high'; give a similarity"),
        ("above", "nan", "above is 'nan'; give a similarity"),
        ("above", "1.5", "above is '1.5'; give a similarity"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, field: str, typed: str, told: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_request({**EMPTY, "logo": str(tmp_path), field: typed})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_search_that_was_made_fills_the_fields_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = retrieved_run(tmp_path)
    monkeypatch.chdir(tmp_path)
    crops = ["10%,20%,50%,40%", "40%,30%,50%,60%"]
    record = open_search(save_known_search(run, tmp_path / "marks", crops)).record
    record = msgspec.structs.replace(record, where=["title~full moon"], vienna=["3.1"], above=0.5)
    values, parts = field_values(record)
    assert values["logo"] == "marks/images/0003.png"
    request = parse_request(values, [part.crop for part in parts])
    assert dataclasses.astuple(request) == (
        str(tmp_path / "marks/images/0003.png"),
        "",
        ("title~full moon",),
        ("3.1",),
        0.5,
        "",
        tuple(crops),
    )
