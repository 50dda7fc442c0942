"""`--vienna` and `--where`: what parses, what passes, and which marks that leaves."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import CodeError, InputError, PackError
from tmssl.retrieval.search.filters import Condition, parse_condition, select

MARKS = [
    Mark("a.png", vienna=("03.07.01", "26.01"), title="Blue Moon", extra={"year": "1999"}),
    Mark("b.png", vienna=("03.07",), title="MOONSHINE", group="g", extra={"year": "2015"}),
    Mark(
        "c.png", vienna=("03.01.07", "13.07.02"), extra={"year": "2020", "filed on": "2020-02-01"}
    ),
    Mark("d\u00e9.png", extra={"year": "unknown", "filed on": "2019-12-31"}),
    Mark("e.png"),
]


def write_rows(path: Path, marks: list[Mark]) -> MarkTable:
    """Marks as the rows of a pack."""
    path.write_bytes(b"".join(msgspec.json.encode(mark) + b"\n" for mark in marks))
    return MarkTable.open(path)


@pytest.fixture
def rows(tmp_path: Path) -> MarkTable:
    return write_rows(tmp_path / "rows.jsonl", MARKS)


def names(rows: MarkTable, vienna: list[str], where: list[str]) -> str:
    """First letters of the marks that pass."""
    mask = select(rows, vienna, [parse_condition(text) for text in where])
    return "".join(rows[row].path[0] for row in np.flatnonzero(mask).tolist())


@pytest.mark.parametrize(
    ("vienna", "where", "left"),
    [
        ([], [], "abcde"),
        (["3.7"], [], "ab"),
        (["3.7.1"], [], "a"),
        (["3"], [], "abc"),
        (["0307", "13.7"], [], "abc"),
        (["9.9"], [], ""),
        ([], ["year>=2015"], "bc"),
        ([], ["year = 2015.0"], "b"),
        ([], ["year!=2015"], "acde"),
        ([], ["year<2000"], "a"),
        ([], ["year>x"], ""),
        ([], ["filed on >= 2020-01-01"], "c"),
        ([], ["title~moon"], "ab"),
        ([], ["title="], "cde"),
        ([], ["title!="], "ab"),
        ([], ["group==G"], "b"),
        ([], ["path=D\u00c9.png"], "d"),
        ([], ["vienna~26.01"], "a"),
        (["3.7"], ["year<2010", "title~blue"], "a"),
    ],
)
def test_marks_that_pass(rows: MarkTable, vienna: list[str], where: list[str], left: str) -> None:
    assert names(rows, vienna, where) == left


def test_what_cannot_be_filtered_by_is_told(rows: MarkTable) -> None:
    with pytest.raises(
        InputError, match=r"no column 'yaer' \(did you mean 'year'\?\); it has filed"
    ):
        names(rows, [], ["yaer>=2015"])
    with pytest.raises(CodeError, match=r"'99\.1' is not a Vienna code"):
        names(rows, ["99.1"], [])
    for text in ("", "year", ">=2015", "year>=", "year~", "__import__('os')"):
        with pytest.raises(InputError, match=r"--where is '.*'; write COLUMN, one of = != < <="):
            parse_condition(text)


def test_a_damaged_row_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, MARKS)
    path.write_bytes(path.read_bytes().replace(b'{"path":"b.png"', b'{"path":"b.png'))
    rows = MarkTable.open(path)
    assert rows[0] == MARKS[0]
    with pytest.raises(PackError, match="row 1 of the pack is damaged"):
        rows[1]
    with pytest.raises(PackError, match="rows of the pack are damaged"):
        select(rows, [], [Condition("title", "=", "x")])
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="cut off"):
        MarkTable.open(path)


WORDS = st.text(min_size=1, max_size=8).map(str.strip).filter(bool)
COLUMNS = WORDS.filter(lambda word: not set(word) & set("=!<>~"))


@settings(deadline=None)
@given(
    COLUMNS,
    st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "~"]),
    WORDS,
    st.sampled_from(["", " "]),
)
def test_any_column_and_value_come_back(column: str, sign: str, value: str, gap: str) -> None:
    if value[0] in "=~" or (not gap and value[0] == "="):
        gap = " "  # `a< =b` is a comparison with `=b`, `a<=b` is not
    assert parse_condition(f"{column}{gap}{sign}{gap}{value}") == Condition(column, sign, value)


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(WORDS, st.integers(-50, 50)), min_size=1, max_size=20), st.integers(-50, 50)
)
def test_rows_and_masks_meet_a_plain_loop(
    tmp_path_factory: pytest.TempPathFactory, told: list[tuple[str, int]], limit: int
) -> None:
    marks = [Mark(f"{i}/{word}", extra={"n": str(n)}) for i, (word, n) in enumerate(told)]
    rows = write_rows(tmp_path_factory.mktemp("r") / "rows.jsonl", marks)
    assert list(rows) == marks
    assert [rows.row_of(mark.path) for mark in marks] == list(range(len(marks)))
    assert rows.row_of("none") is None
    mask = select(rows, [], [parse_condition(f"n>={limit}")])
    assert mask.tolist() == [n >= limit for _, n in told]
