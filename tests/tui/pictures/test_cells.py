"""Pictures as characters of parts of a cell: the right character, the best two colours, every terminal's colours."""

import itertools
import re

import numpy as np
import pytest
import unicodedata2
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tmssl.types import Pixels
from tui.pictures.ansi import ansi_lines
from tui.pictures.glyphs import Glyphs, glyphs
from tui.pictures.mosaic import mosaics, stencils, two_colours
from tui.pictures.runs import runs
from tui.pictures.text import text_lines
from tui.pictures.ways import CELLS

# The parts of a cell, as columns and rows out of 2 and 12, that the words of a Unicode name cover.
_PARTS = {
    "SPACE": set(),
    "FULL BLOCK": {(x, y) for x in range(2) for y in range(12)},
    "UPPER HALF BLOCK": {(x, y) for x in range(2) for y in range(6)},
    "LOWER HALF BLOCK": {(x, y) for x in range(2) for y in range(6, 12)},
    "LEFT HALF BLOCK": {(0, y) for y in range(12)},
    "RIGHT HALF BLOCK": {(1, y) for y in range(12)},
    "UPPER ONE QUARTER BLOCK": {(x, y) for x in range(2) for y in range(3)},
    "LOWER ONE QUARTER BLOCK": {(x, y) for x in range(2) for y in range(9, 12)},
    "UPPER THREE QUARTERS BLOCK": {(x, y) for x in range(2) for y in range(9)},
    "LOWER THREE QUARTERS BLOCK": {(x, y) for x in range(2) for y in range(3, 12)},
    "LEFT HALF UPPER ONE QUARTER BLOCK": {(0, y) for y in range(3)},
    "RIGHT HALF UPPER ONE QUARTER BLOCK": {(1, y) for y in range(3)},
    "LEFT HALF LOWER ONE QUARTER BLOCK": {(0, y) for y in range(9, 12)},
    "RIGHT HALF LOWER ONE QUARTER BLOCK": {(1, y) for y in range(9, 12)},
    "MIDDLE LEFT ONE QUARTER BLOCK": {(0, y) for y in range(3, 9)},
    "MIDDLE RIGHT ONE QUARTER BLOCK": {(1, y) for y in range(3, 9)},
}
_QUADRANTS = {
    "UPPER LEFT": (0, 0),
    "UPPER RIGHT": (1, 0),
    "LOWER LEFT": (0, 1),
    "LOWER RIGHT": (1, 1),
}


def covered(name: str) -> set[tuple[int, int]]:
    """What a character covers by its name in the Unicode table, in halves of the width and twelfths of the height."""
    if name in _PARTS:
        return _PARTS[name]
    if name.startswith("QUADRANT "):
        places = [_QUADRANTS[word] for word in name.removeprefix("QUADRANT ").split(" AND ")]
        return {(x, 6 * half + y) for x, half in places for y in range(6)}
    kind, _, digits = name.removeprefix("BLOCK ").partition("-")
    height = {"SEXTANT": 4, "OCTANT": 3}[kind]
    places = [((int(digit) - 1) % 2, (int(digit) - 1) // 2) for digit in digits]
    return {(x, row * height + y) for x, row in places for y in range(height)}


def drawn(found: Glyphs, pattern: int) -> set[tuple[int, int]]:
    """What a pattern covers, in halves of the width and twelfths of the height."""
    width, height = 2 // found.across, 12 // found.down
    cells = set()
    for part in range(found.parts):
        if pattern >> part & 1:
            column, row = part % found.across, part // found.across
            cells |= {
                (column * width + x, row * height + y) for x in range(width) for y in range(height)
            }
    return cells


@pytest.mark.parametrize("way", CELLS)
def test_each_pattern_has_the_character_that_unicode_names_for_it(way: str) -> None:
    found = glyphs(way)
    assert len(found.characters) == 2**found.parts == len(set(found.characters))
    for pattern, character in enumerate(found.characters):
        assert covered(unicodedata2.name(character)) == drawn(found, pattern), hex(ord(character))


def least_error(cell: Pixels) -> float:
    """The least squared error of two colours, by trying each division and its means."""
    parts = cell.astype(float)
    errors = [((parts - parts.mean(axis=0)) ** 2).sum()]
    for inside in itertools.product([False, True], repeat=len(parts)):
        chosen = np.array(inside)
        if chosen.any() and not chosen.all():
            sides = parts[chosen], parts[~chosen]
            errors.append(sum(((side - side.mean(axis=0)) ** 2).sum() for side in sides))
    return float(min(errors))


@pytest.mark.parametrize("parts", [2, 4, 6, 8])
def test_two_colours_of_a_cell_have_the_least_squared_error(parts: int) -> None:
    dice = np.random.default_rng(parts)
    cells = dice.integers(0, 256, (40, parts, 3), dtype=np.uint8)
    cells[:10] = cells[:10, :1]  # of one colour
    cells[10:20, ::2] = cells[10:20, :1]  # of few
    patterns, colours = two_colours(cells)
    for cell, pattern, pair in zip(cells, patterns, colours, strict=True):
        shown = np.array([pair[pattern >> part & 1] for part in range(parts)])
        error = ((cell - shown) ** 2).sum()
        assert error == pytest.approx(least_error(cell), rel=1e-3, abs=0.5)
    assert (patterns[:10] == 0).all()


def test_more_cells_than_a_block_are_chosen_alike() -> None:
    cells = np.random.default_rng(1).integers(0, 256, (1300, 8, 3), dtype=np.uint8)
    patterns, colours = two_colours(cells)
    for begin in range(0, 1300, 130):
        some_patterns, some_colours = two_colours(cells[begin : begin + 130])
        assert np.array_equal(some_patterns, patterns[begin : begin + 130])
        np.testing.assert_allclose(some_colours, colours[begin : begin + 130], atol=1e-3)


def decoded(lines: list[str], way: str) -> Pixels:
    """The parts of each cell as a terminal of true colours shows them, (rows * down, columns * across, 3)."""
    found = glyphs(way)
    rows = []
    for line in lines:
        ink, paper, cells = (0, 0, 0), (0, 0, 0), []
        for sgr, text in re.findall(r"\x1b\[([\d;]*)m([^\x1b]*)", line):
            numbers = [int(number) for number in sgr.split(";") if number]
            while len(numbers) >= 5:
                colour = (numbers[2], numbers[3], numbers[4])
                ink, paper = (colour, paper) if numbers[0] == 38 else (ink, colour)
                numbers = numbers[5:]
            for character in text:
                pattern = found.characters.index(character)
                parts = [ink if pattern >> part & 1 else paper for part in range(found.parts)]
                cells.append(np.array(parts).reshape(found.down, found.across, 3))
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows).astype(np.uint8)


def marks(count: int = 3, side: int = 64) -> list[Pixels]:
    """Drawn pictures with edges, gradients and flat parts."""
    pictures = []
    for at in range(count):
        grid = np.mgrid[0:side, 0:side] / side
        picture = np.full((side, side, 3), 255, np.uint8)
        disc = (grid[0] - 0.5) ** 2 + (grid[1] - 0.4) ** 2 < 0.1 + 0.02 * at
        picture[disc] = (200, 30 * at, 40)
        picture[side // 2 :, side // 2 :] = (grid[0, side // 2 :, side // 2 :, None] * 200).astype(
            np.uint8
        )
        pictures.append(picture)
    return pictures


@pytest.mark.parametrize("way", CELLS)
def test_a_terminal_shows_the_cells_that_were_chosen(way: str) -> None:
    pictures = marks()
    for lines, mosaic in zip(
        ansi_lines(pictures, 12, 6, way, "true"), mosaics(pictures, 12, 6, way), strict=True
    ):
        found, shown = glyphs(way), decoded(lines, way)
        for row, column in np.ndindex(6, 12):
            cell = shown[
                row * found.down : (row + 1) * found.down,
                column * found.across : (column + 1) * found.across,
            ].reshape(-1, 3)
            pattern = mosaic.patterns[row, column]
            for part in range(found.parts):
                wanted = (mosaic.inks if pattern >> part & 1 else mosaic.papers)[row, column]
                assert (cell[part] == wanted).all()


@pytest.mark.parametrize("way", CELLS)
def test_a_widget_shows_the_same_as_a_terminal(way: str) -> None:
    from rich.console import Console

    pictures = marks()
    console = Console(color_system="truecolor", force_terminal=True, width=80)
    for texts, lines in zip(
        text_lines(pictures, 12, 6, way), ansi_lines(pictures, 12, 6, way, "true"), strict=True
    ):
        for text, line in zip(texts, lines, strict=True):
            assert text.cell_len == 12
            segments = list(text.render(console))
            assert "".join(segment.text for segment in segments) == re.sub(
                r"\x1b\[[\d;]*m", "", line
            )
        rendered = []
        for text in texts:
            with console.capture() as capture:
                console.print(text, end="")
            rendered.append(capture.get())
        assert np.array_equal(decoded(rendered, way), decoded(lines, way))


def test_finer_cells_show_more_of_a_picture() -> None:
    (picture,) = marks(1, 96)
    wanted = np.asarray(Image.fromarray(picture).resize((48, 48), Image.Resampling.BOX)).astype(
        float
    )
    errors = []
    for way in CELLS:
        (lines,) = ansi_lines([picture], 12, 6, way, "true")
        shown = Image.fromarray(decoded(lines, way)).resize((48, 48), Image.Resampling.NEAREST)
        errors.append(((np.asarray(shown) - wanted) ** 2).mean())
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 2


@pytest.mark.parametrize("way", CELLS)
@pytest.mark.parametrize(
    ("colours", "allowed"),
    [
        ("256", r"\x1b\[(?:[34]8;5;\d+;?)*m|\x1b\[0m"),
        ("16", r"\x1b\[(?:(?:[34]|9|10)[0-7];?)*m|\x1b\[0m"),
        ("none", r"(?!)"),
    ],
)
def test_a_terminal_gets_only_the_colours_that_it_has(way: str, colours: str, allowed: str) -> None:
    for lines in ansi_lines(marks(), 12, 6, way, colours):
        for line in lines:
            plain = re.sub(allowed, "", line)
            assert "\x1b" not in plain
            assert len(plain) == 12


def test_without_colours_the_dark_parts_have_the_ink() -> None:
    picture = np.full((8, 8, 3), 250, np.uint8)
    picture[:4, :4] = (10, 10, 60)
    (stencil,) = stencils([picture], 2, 1, "octant")
    assert [glyphs("octant").characters[p] for p in stencil[0]] == ["▀", " "]
    (blank,) = stencils([np.full((8, 8, 3), 255, np.uint8)], 2, 1, "octant")
    assert not blank.any()


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3))),
    st.integers(1, 9),
    st.integers(1, 5),
    st.sampled_from(CELLS),
)
def test_pictures_of_any_shape_fill_their_cells(
    pixels: Pixels, columns: int, rows: int, way: str
) -> None:
    (lines,) = ansi_lines([pixels], columns, rows, way, "true")
    assert decoded(lines, way).shape == (rows * glyphs(way).down, columns * glyphs(way).across, 3)


def test_white_stays_white_and_flat_parts_share_a_run() -> None:
    (mosaic,) = mosaics([np.full((50, 90, 3), 255, np.uint8)], 10, 5, "sextant")
    assert [list(row) for row in runs(mosaic, "sextant")] == [[(" " * 10, None, 0xFFFFFF)]] * 5
    assert mosaics([], 10, 5, "sextant") == []


@pytest.mark.parametrize("way", ["letters", "off"])
def test_letters_and_nothing_have_the_size_of_a_picture(way: str) -> None:
    for lines in text_lines(marks(), 12, 6, way):
        assert [line.cell_len for line in lines] == [12] * 6
        assert all(line.plain.isascii() for line in lines)
