"""Marks held as lines of JSON are the marks, however they are asked for."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.data.sources import marks as module
from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import PackError

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
MARKS = st.lists(
    st.builds(
        Mark,
        path=_TEXT,
        id=_TEXT,
        vienna=st.lists(st.sampled_from(["26.01", "27.05.01"])).map(tuple),
        group=_TEXT,
        split=_TEXT,
        title=_TEXT,
        url=_TEXT,
        extra=st.dictionaries(_TEXT, _TEXT, max_size=2),
    ),
    max_size=12,
)


@given(MARKS)
def test_rows_are_their_marks(marks: list[Mark]) -> None:
    rows = MarkTable.of(marks)
    assert len(rows) == len(marks)
    assert list(rows) == marks
    assert [rows[i] for i in range(-len(marks), len(marks))] == marks * 2
    assert rows[1:5] == marks[1:5]
    assert rows.codes() == rows.column("vienna", tuple[str, ...], ()) == [m.vienna for m in marks]
    assert rows.column("title", str, "") == [mark.title for mark in marks]
    assert rows == MarkTable.of(marks)
    with pytest.raises(IndexError):
        rows[len(marks)]


def test_many_rows_are_decoded_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DECODED_TOGETHER", 4)
    monkeypatch.setattr(module, "_SCAN_BYTES", 10)
    for count in (0, 1, 3, 4, 5, 8, 9):
        marks = [Mark(path=f"{i}.png") for i in range(count)]
        assert list(MarkTable.of(marks)) == marks


def test_equal_codes_are_one_object() -> None:
    first, second = MarkTable.of(
        [Mark("a", vienna=("26.01", "27.05")), Mark("b", vienna=("26.01", "27.05"))]
    ).codes()
    assert first is second


def test_a_damaged_row_is_named_and_a_cut_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b'{"path":"a"}\n{"pa\n{"path":"c"}\n')
    rows = MarkTable.open(path)
    assert rows[2].path == "c"
    with pytest.raises(PackError, match="row 1 of the pack is damaged"):
        rows[1]
    for read in (lambda: list(rows), rows.codes):
        with pytest.raises(PackError, match="rows of the pack are damaged"):
            read()
    path.write_bytes(b'{"path":"a"}\n{"path"')
    with pytest.raises(ValueError, match="cut off"):
        MarkTable.open(path)
