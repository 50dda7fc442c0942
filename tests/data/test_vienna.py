import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.growth import growth
from tmssl.data.vienna import (
    LEVELS,
    at_level,
    idf,
    is_figurative,
    is_lossy_number,
    parse_code,
    parse_codes,
    title,
)
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
    "nothing",
    [
        None,
        "",
        " ",
        "[]",
        float("nan"),
        "none",
        "-",
        "N/A",
        [],
        [None],
        ["", "null"],
        "#N/A",
        "<NA>",
        "\\N",
        "(null)",
        "[NULL]",
        "nan; NaN",
        "\u2013",
    ],
)
def test_no_code_is_nothing_bad(nothing: object) -> None:
    assert parse_codes(nothing) == ((), ())


@pytest.mark.parametrize(
    ("printed", "codes"),
    [
        ("28.11.00", ["28.11"]),
        ("27.05.00;26.04.00", ["26.04", "27.05"]),
        ("260400", ["26.04"]),
        ("05.00.00", ["05"]),
        ("2600", ["26"]),
        ("26.00", ["26"]),
        ("CFE(9) 26.4.00 A", ["26.04"]),
        (260400, ["26.04"]),
        (260400.0, ["26.04"]),
        ([50000, 290100], ["29.01"]),
    ],
)
def test_a_division_or_section_of_two_zeros_stands_for_the_level_above(
    printed: object, codes: list[str]
) -> None:
    assert list(parse_codes(printed)[0]) == codes


@pytest.mark.parametrize("bad", ["00", "00.01.03", "26.00.03", "000103", "260003", "00.00.00"])
def test_zeros_above_a_number_are_no_level(bad: str) -> None:
    assert parse_codes(bad) == ((), (bad,))


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (260103, "26.01.03"),
        (260103.0, "26.01.03"),
        (2601, "26.01"),
        (26.05, "26.05"),
        (26, "26"),
        (26.0, "26"),
        (Decimal("26.10"), "26.10"),
        (Decimal("3.07"), "03.07"),
    ],
)
def test_a_number_is_a_code_where_no_digit_can_be_lost(number: object, code: str) -> None:
    assert parse_codes(number) == parse_codes([number]) == ((code,), ())


@pytest.mark.parametrize(
    "number", [26.1, 27.5, 10203, 103, 26.013, -26, 30, 1e30, Decimal("26.1"), 260199.5, 26.049999]
)
def test_a_number_that_may_have_lost_digits_is_told_and_not_guessed(number: object) -> None:
    codes, bad = parse_codes(["27.05.01", number])
    assert codes == ("27.05.01",)
    assert all(map(is_lossy_number, bad))
    assert len(bad) == 1


@pytest.mark.parametrize(
    "numbers", [[26, 1, 3], [26.0, 1.0], (26, 4), "[26, 1, 3]", "26,1", "26, 04, 01", [[26, 1, 3]]]
)
def test_several_whole_numbers_may_be_the_parts_of_one_code(numbers: object) -> None:
    codes, bad = parse_codes(numbers)
    assert codes == ()
    assert all(map(is_lossy_number, bad))
    assert len(bad) == 1


def test_lists_in_lists_are_read_through() -> None:
    assert parse_codes([["26.01.03"], [["27.5"], None]]) == (("26.01.03", "27.05"), ())
    assert parse_codes(b"26.01.03") == parse_codes([b"26.01.03"]) == (("26.01.03",), ())


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


@pytest.mark.parametrize(
    "piece", ["1 ", "26.01.03 ", "A ", "(", "CFE( 9 ) ", "1,", "[5]/", "\"' ", "1 A", ";"]
)
@pytest.mark.parametrize("frame", ["{}", "26.01.03{}x26.01.04"])
def test_the_work_is_linear_in_the_length_of_a_cell(piece: str, frame: str) -> None:
    assert growth(parse_codes, lambda n: frame.format(piece * n), 5_000) < 10


@pytest.mark.parametrize("blank", [" ", "\f", "\v", "\n", "\t", "\xa0", "\u2003"])
def test_many_blanks_between_codes_are_as_quick_as_few(blank: str) -> None:
    assert growth(parse_codes, lambda n: f"26.01.03{blank * n}x26.01.04", 50_000) < 10
    assert parse_codes(f"26.01.03{' ' * 99}26.01.04") == (("26.01.03", "26.01.04"), ())


def test_numbers_of_many_digits_and_lists_in_lists_are_no_codes() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for cell in (10**5000, Decimal("1e999999"), -(10**5000), 1e308, deep, [10**5000, 1]):
        codes, bad = parse_codes(cell)
        assert codes in ((), ("01",))
        assert len(bad) == 1
    with pytest.raises(CodeError, match="is not a Vienna code"):
        parse_code("9" * 100_000)
