"""Pages of text: columns side by side where there is room."""

from hypothesis import given
from hypothesis import strategies as st

from tui.widgets.text_screen import in_columns


def test_a_long_list_stands_in_columns_on_a_wide_page() -> None:
    lines = ["a", "bb", "c", "d", "e"]
    assert in_columns(lines, 80, 3) == ["a     d", "bb    e", "c"]
    assert in_columns(lines, 80, 9) == lines
    assert in_columns(lines, 7, 3) == lines


@given(st.lists(st.text("ab ", max_size=9)), st.integers(1, 80), st.integers(0, 9))
def test_no_word_is_lost(lines: list[str], width: int, height: int) -> None:
    found = in_columns(lines, width, height)
    assert sorted("".join(found).replace(" ", "")) == sorted("".join(lines).replace(" ", ""))
