import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.data.sampler import CodeIndex
from tmssl.data.vienna import LEVELS, at_level, idf, is_figurative, parse_code, parse_codes, title
from tmssl.errors import CodeError

numbers = st.tuples(st.integers(1, 29), st.integers(1, 99), st.integers(1, 99))
FORMS = [
    "{0}.{1}.{2}",
    "{0:02d}.{1:02d}.{2:02d}",
    "{0:02d}{1:02d}{2:02d}",
    "A {0}.{1}.{2}",
    "A{0}.{1}.{2}",
    "{0}.{1}.{2}.",
    "CFE(9) {0}.{1}.{2}",
    "VCL (10) {0}.{1}.{2}",
    "  {0}.{1}.{2} ",
    "{0}.{1}.{2} A",
]


@given(numbers, st.sampled_from(FORMS))
def test_every_printed_form_is_the_same_code(parts: tuple[int, int, int], form: str) -> None:
    assert parse_code(form.format(*parts)) == "{:02d}.{:02d}.{:02d}".format(*parts)


@given(numbers)
def test_coarser_codes_are_codes_too(parts: tuple[int, int, int]) -> None:
    category, division, _ = parts
    assert parse_code(f"{category:02d}{division:02d}") == f"{category:02d}.{division:02d}"
    assert parse_code(f"{category}.{division}") == f"{category:02d}.{division:02d}"
    assert parse_code(str(category)) == f"{category:02d}"


@given(st.text(max_size=30))
def test_parsing_raises_nothing_but_its_own_error(text: str) -> None:
    try:
        code = parse_code(text)
    except CodeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert parse_code(code) == code


@pytest.mark.parametrize(
    "bad", ["", "0.1", "30.1", "26.0", "26.1.0", "26.", "x", "26..1", "-1", "1.2.3.4", "12345"]
)
def test_what_is_no_code_is_refused(bad: str) -> None:
    if bad == "26.":
        assert parse_code(bad) == "26"
        return
    with pytest.raises(CodeError, match="is not a Vienna code"):
        parse_code(bad)


@given(st.lists(numbers, max_size=6), st.sampled_from([";", ",", "|", " ", "; ", "\n", " / "]))
def test_any_separator_and_lists_give_the_same_codes(
    many: list[tuple[int, int, int]], separator: str
) -> None:
    printed = ["{}.{}.{}".format(*parts) for parts in many]
    expected = tuple(sorted({parse_code(code) for code in printed}))
    assert parse_codes(separator.join(printed)) == (expected, ())
    assert parse_codes(printed) == (expected, ())
    assert parse_codes(str(printed)) == (expected, ())


def test_what_does_not_parse_is_told() -> None:
    assert parse_codes("26.1.3; bird; 99.1") == (("26.01.03",), ("bird", "99.1"))
    assert parse_codes(None) == parse_codes("") == ((), ())


@pytest.mark.parametrize(
    ("printed", "codes"),
    [
        ("CFE(9) 26.1.3", ["26.01.03"]),
        ("CFE(9): 26.1.3 27.5", ["26.01.03", "27.05"]),
        ("26.1.3 CFE(9) 27.5.1 VCL (8) A 3.7.16", ["03.07.16", "26.01.03", "27.05.01"]),
        ("A 26.1.8", ["26.01.08"]),
        ("26.1.3 A 26.1.8", ["26.01.03", "26.01.08"]),
        ("26.1.8 A, 27.5.1.", ["26.01.08", "27.05.01"]),
        ("2601/260103 / 27.5", ["26.01", "26.01.03", "27.05"]),
        ("1;1;01", ["01"]),
        ({"26.1", "3.7"}, ["03.07", "26.01"]),
        ([260103, 26.05], ["26.01.03", "26.05"]),
    ],
)
def test_printed_lists_are_read_as_they_are_meant(printed: object, codes: list[str]) -> None:
    assert parse_codes(printed) == (tuple(codes), ())


@pytest.mark.parametrize(
    "nothing", [None, "", " ", "[]", float("nan"), "none", "-", "N/A", [], [None], ["", "null"]]
)
def test_no_code_is_nothing_bad(nothing: object) -> None:
    assert parse_codes(nothing) == ((), ())


@pytest.mark.parametrize("printed", ["26 01 03", "26/01/03", "26.1 / 3", "3 7"])
def test_what_could_be_read_in_two_ways_is_told_and_not_guessed(printed: str) -> None:
    assert parse_codes(printed) == ((), (printed,))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=6,
    )
)
def test_any_value_from_a_table_gives_codes_that_parse_and_parts_that_do_not(value: object) -> None:
    codes, bad = parse_codes(value)
    assert list(codes) == sorted({parse_code(code) for code in codes})
    for part in bad:
        with pytest.raises(CodeError):
            parse_code(part)


def test_digits_of_other_scripts_are_no_code() -> None:
    assert parse_codes("\u0662\u0666.\u0661") == ((), ("\u0662\u0666.\u0661",))


def test_levels_leave_coarser_codes_out() -> None:
    codes = ["26.01.03", "26.04", "27"]
    assert at_level(codes, "category") == {"26", "27"}
    assert at_level(codes, "division") == {"26.01", "26.04"}
    assert at_level(codes, "section") == {"26.01.03"}
    assert LEVELS == ("category", "division", "section")


def test_titles_come_from_the_embedded_table() -> None:
    assert title("26.01") == title("26.01.03") == "Circles, ellipses"
    assert title("26")
    assert title("27.99").endswith("(EUIPO only)")
    assert title("26.98") == title("26.98.01") == ""
    assert title("26.01.97") == "Circles, ellipses (EUIPO only)"
    assert title("27.99.01").count("(EUIPO only)") == 1
    assert is_figurative("24.17")
    assert not is_figurative("25.01")


def test_rarity_is_inverse_document_frequency() -> None:
    told = idf([("a", "b"), ("a",), (), ("a", "a")])
    assert told == {"a": math.log(4 / 3), "b": math.log(4)}


codes_of_marks = st.lists(
    st.lists(st.sampled_from(["01.01", "02.01", "03.01", "04.01"]), max_size=3).map(tuple),
    min_size=1,
    max_size=12,
)


@given(codes_of_marks, st.data())
def test_a_partner_shares_a_code_and_is_somebody_else(
    marks: list[tuple[str, ...]], data: st.DataObject
) -> None:
    index = CodeIndex(marks, "division")
    draw = st.floats(0, 1, exclude_max=True)
    for sample in range(len(marks)):
        draws = (np.array([data.draw(draw)]) for _ in range(2))
        found = int(index.partners(np.array([sample]), *draws)[0])
        mates = [i for i in range(len(marks)) if i != sample and set(marks[i]) & set(marks[sample])]
        # A code that every mark carries says nothing, yet still makes a partner when it is the only one.
        assert found in mates if mates else found == sample


def test_partners_are_drawn_by_the_rarity_of_the_shared_code() -> None:
    marks = [("01.01", "02.01"), ("01.01",), ("01.01",), ("01.01",), ("02.01",), ("03.01",)]
    weights = {"01.01": math.log(6 / 4), "02.01": math.log(6 / 2)}
    dice = np.random.default_rng(0)
    drawn = 40_000
    found = CodeIndex(marks, "division").partners(
        np.zeros(drawn, np.int64), dice.random(drawn), dice.random(drawn)
    )
    counts = Counter(found.tolist())
    assert counts[4] / drawn == pytest.approx(weights["02.01"] / sum(weights.values()), abs=0.01)
    for other in (1, 2, 3):
        assert counts[other] / drawn == pytest.approx(
            weights["01.01"] / sum(weights.values()) / 3, abs=0.01
        )
    assert set(counts) == {1, 2, 3, 4}


def test_a_level_that_no_code_reaches_leaves_everybody_alone() -> None:
    index = CodeIndex([("26.01",), ("26.01",), ()], "section")
    samples = np.arange(3)
    assert np.array_equal(index.partners(samples, np.full(3, 0.5), np.full(3, 0.5)), samples)


def test_a_code_that_all_marks_carry_still_makes_partners_late_in_a_large_register() -> None:
    count = 20_000
    marks = [("26.01", *([f"01.{1 + i % 90:02d}"] if i < count // 2 else [])) for i in range(count)]
    late = np.arange(count // 2, count)
    draws = np.random.default_rng(0).random((2, len(late)))
    assert (CodeIndex(marks, "division").partners(late, *draws) != late).all()
