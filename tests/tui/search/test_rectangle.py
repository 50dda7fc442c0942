"""Rectangles over a logo: how keys change them, how they are written, where their outlines are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from tmssl.retrieval.search.crop import parse_crop
from tui.search.crop_screen import fitting_cells
from tui.search.rectangle import (
    WHOLE,
    Rectangle,
    Step,
    between,
    outlined,
    rectangle_of,
    step_of,
)

cells = st.tuples(st.integers(1, 120), st.integers(1, 60))


@st.composite
def rectangles(draw: st.DrawFn) -> Rectangle:
    left, right = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=2, max_size=2, unique=True)))
    top, bottom = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=2, max_size=2, unique=True)))
    return Rectangle(left, top, right, bottom)


def is_inside(one: Rectangle) -> bool:
    return 0 <= one.left < one.right <= WHOLE and 0 <= one.top < one.bottom <= WHOLE


@given(rectangles(), cells, st.integers(-30, 30), st.integers(-30, 30))
def test_no_key_moves_a_rectangle_out_of_the_logo_or_takes_its_area(
    one: Rectangle, size: tuple[int, int], across: int, down: int
) -> None:
    step = step_of(*size)
    moved = one.moved(across * step.across, down * step.down)
    assert (moved.right - moved.left, moved.bottom - moved.top) == (
        one.right - one.left,
        one.bottom - one.top,
    )
    for changed in (
        moved,
        one.resized(across * step.across, down * step.down, step),
        one.grown(across, step),
    ):
        assert is_inside(changed)


@given(rectangles())
def test_the_command_takes_every_rectangle(one: Rectangle) -> None:
    crop = parse_crop(one.crop)
    assert crop.percent
    assert rectangle_of(one.crop) == one
    assert round(10 * crop.left) == one.left
    assert round(10 * (crop.top + crop.height)) == one.bottom


@pytest.mark.parametrize(
    "crop",
    ["", "1,2,3,4", "1%,2%,3%", "a%,2%,3%,4%", "60%,0%,50%,9%", "1%,1%,0%,5%", "inf%,0%,1%,1%"],
)
def test_what_is_no_rectangle_in_percent_is_none(crop: str) -> None:
    assert rectangle_of(crop) is None


@given(rectangles(), cells, st.integers(1, 3), st.integers(0, 2))
def test_outlines_lie_around_the_cells_of_a_rectangle_and_leave_the_width(
    one: Rectangle, size: tuple[int, int], count: int, chosen: int
) -> None:
    columns, rows = size
    picture = [Text("." * columns) for _ in range(rows)]
    lines = outlined(picture, [one] * count, min(chosen, count - 1), ("bold", ""))
    assert len(lines) == rows + 2
    assert {len(line) for line in lines} == {columns + 2}
    left, top, right, bottom = one.cells(columns, rows)
    for row, line in enumerate(lines):
        for column, sign in enumerate(line.plain):
            within = left <= column - 1 < right and top <= row - 1 < bottom
            around = left <= column <= right + 1 and top <= row <= bottom + 1
            in_picture = 1 <= row <= rows and 1 <= column <= columns
            assert (sign in ". ") == (within or not around)
            assert sign != "." or in_picture


def test_a_drag_takes_the_cells_between_its_ends_in_any_direction() -> None:
    for first, last in (((2, 1), (5, 3)), ((5, 3), (2, 1)), ((2, 3), (5, 1))):
        assert between(first, last, 10, 10).crop == "20%,10%,40%,30%"
    assert between((-4, -4), (99, 99), 10, 10).crop == "0%,0%,100%,100%"


def test_a_key_moves_a_cell_but_at_most_a_twentieth_of_a_side() -> None:
    assert step_of(100, 40) == Step(10, 25)
    assert step_of(9, 3) == Step(50, 50)


@given(st.integers(1, 4000), st.integers(1, 4000), cells)
def test_a_logo_fills_one_side_of_its_place(
    width: int, height: int, place: tuple[int, int]
) -> None:
    columns, rows = fitting_cells(width, height, *place)
    assert 1 <= columns <= place[0]
    assert 1 <= rows <= place[1]
    assert columns == place[0] or rows == place[1]
