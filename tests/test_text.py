import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.text import (
    count,
    duration,
    learning_rate,
    nearest,
    number,
    rate,
    safe,
    spreadsheet_cell,
)


@given(st.text(max_size=800))
def test_nothing_that_moves_a_cursor_or_turns_a_line_gets_through(text: str) -> None:
    shown = safe(text)
    assert len(shown) <= 500
    for character in shown:
        code = ord(character)
        assert code >= 0x20
        assert not 0x7F <= code <= 0x9F
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "PDF",
            "LRO",
            "RLO",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
        assert character != "\ufeff"


@given(st.text(alphabet=st.characters(categories=["L", "N"]), max_size=100))
def test_plain_words_are_left_alone(text: str) -> None:
    assert safe(text) == text


def test_controls_become_their_pictures() -> None:
    assert safe("a\x1b[2Jb\n\x9b\u202e") == "a\u241b[2Jb\u240a\ufffd\ufffd"
    assert safe("x" * 600) == "x" * 499 + "\u2026"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+cmd|'/c calc'!A0",
        "@SUM(A1)",
        " =1",
        "\u3000=1",
        "\uff1d1+1",
        "-1.2.3",
        "-\u0661",
        "--1",
        "+",
        "+5",
    ],
)
def test_a_cell_is_no_formula(text: str) -> None:
    assert spreadsheet_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "-0.25", "-1e-05", "-1E+3", "a=b", "1-2", "", "\t=1"])
def test_a_negative_number_and_plain_words_stay_as_they_are(text: str) -> None:
    assert spreadsheet_cell(text) == safe(text)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (59.6, "1m 00s"),
        (42, "42s"),
        (185, "3m 05s"),
        (7620, "2h 07m"),
        (356_400, "4d 03h"),
        (None, "-"),
        (float("inf"), "-"),
    ],
)
def test_durations_read_well(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (7.035, "7.035"),
        (0.00123456, "0.001235"),
        (123456.0, "123,456"),
        (0, "0"),
        (None, "-"),
        (float("nan"), "-"),
        (1234.0, "1234"),
    ],
)
def test_numbers_keep_four_digits(value: float | None, words: str) -> None:
    assert number(value) == words


def test_small_words() -> None:
    assert rate(0.1234) == "12.3 %"
    assert learning_rate(3e-4) == "3.00e-04"
    assert (count(1, "mark"), count(3000, "mark")) == ("1 mark", "3,000 marks")
    assert nearest("epoch", ["epochs", "lr"]) == " (did you mean 'epochs'?)"
    assert nearest("zzz", ["epochs", "lr"]) == ""
