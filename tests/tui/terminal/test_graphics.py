"""The one door for the graphics protocol, and what goes through it."""

import io
import re
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

from tests.helpers.kitty import DIACRITICS, KittyGrid
from tmssl.text import safe
from tui.pictures import placeholders
from tui.pictures.pixels import PixelPictures, fits
from tui.terminal.cell_diff import CellDiff
from tui.terminal.driver import QuietDriver, sanitize
from tui.terminal.graphics import GRAPHICS, Graphics, through_tmux

OWN = "\x1b_Gq=2,a=T,U=1,f=100,t=d,i=16777232,c=2,r=1,m=0;iVBO\x1b\\"


def noise(seed: int, side: int = 60) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def placed(pictures: PixelPictures, seed: int, columns: int = 6, rows: int = 3) -> str:
    """A frame with a picture in its upper left."""
    (lines,) = pictures.lines([noise(seed)], columns, rows)
    return "".join(f"\x1b[{row};1H{line}" for row, line in enumerate(lines, 1))


@pytest.fixture
async def driver(monkeypatch: pytest.MonkeyPatch) -> tuple[QuietDriver, list[str]]:
    """A driver, and what it writes."""
    written: list[str] = []
    monkeypatch.setenv("TERM", "xterm-kitty")
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(LinuxDriver, "write", lambda self, data: written.append(data))
    return QuietDriver(App()), written


async def test_only_sequences_of_this_program_pass_the_door(
    driver: tuple[QuietDriver, list[str]],
) -> None:
    opened, written = driver
    opened._send_graphics([OWN])
    assert written == [OWN]
    for other in (
        OWN.replace("q=2", "q=1"),
        OWN.replace("q=2,", ""),
        OWN.replace("a=T", "a=q"),
        OWN.replace("t=d", "t=f"),
        OWN + "\x1b[6n",
        OWN.replace("iVBO", "iV\x1bBO"),
        OWN.replace("iVBO", "iVBO;x"),
        OWN + OWN,
        "\x1b_Gq=2,a=d,d=A\x1b\\",
        "\x1b]52;c;eA==\x07",
        "text",
    ):
        with pytest.raises(ValueError, match="no picture"):
            opened._send_graphics([other])
    assert written == [OWN]


@given(st.text(st.sampled_from("\x1b_GPqtmux;=2,aTU1di\\ \U0010eeee\u0305"), max_size=30))
def test_no_text_passes_as_a_picture(text: str) -> None:
    for written in (text, OWN + text, text + OWN, f"\x1b[1;1H{text}"):
        left = sanitize(written)
        assert "\x1b_" not in left
        assert "\x1bP" not in left
        assert "\U0010eeee" not in left
    assert "\x1b" not in sanitize(through_tmux(OWN))


def test_foreign_texts_hold_no_cells_of_pictures() -> None:
    cells = placeholders.cells(3, 4, 2)[1]
    assert safe(f"a{cells}\U0010eeee\U0010fffdz") == "a" + "\ufffd" * 6 + "z"


def test_a_cell_names_its_picture_row_and_column() -> None:
    for slot in (0, 7, placeholders.SLOTS - 1):
        lines = placeholders.cells(slot, placeholders.COLUMNS, placeholders.ROWS)
        for row, line in enumerate(lines):
            assert placeholders.RUN.fullmatch(line)
            assert {placeholders.slot_of(character) for character in line} == {slot}
            found = re.findall("\U0010eeee(.)(.)(.)", placeholders.expanded(line, 5))
            assert [tuple(map(DIACRITICS.index, cell)) for cell in found] == [
                (row, column, 5) for column in range(placeholders.COLUMNS)
            ]
        _, ink, _ = placeholders.pen(slot)
        number = placeholders.picture_id(slot, 5)
        assert (number >> 24, f"38;5;{number & 0xFFFFFF}") == (5, ink)
    assert len(DIACRITICS) >= placeholders.NAMESPACES


def test_a_picture_is_sent_before_its_cells_once_and_deleted_when_none_of_them_is_left() -> None:
    pictures = PixelPictures()
    graphics, cell_diff = Graphics(pictures, 1), CellDiff(1)
    frame = placed(pictures, 0)
    first = graphics.before(frame)
    assert first
    assert all(GRAPHICS.fullmatch(one) for one in first)
    assert graphics.before(frame) == []
    grid = KittyGrid()
    grid.feed("".join([*first, cell_diff.diff(frame)]).encode())
    assert graphics.after(cell_diff.slots(80, 24)) == []
    assert cell_diff.slots(6, 1) == cell_diff.slots(80, 24)
    assert cell_diff.slots(0, 24) == cell_diff.slots(80, 0) == set()
    (shown,) = grid.shown((80, 24))
    assert shown.whole
    assert (shown.row, shown.column, shown.columns, shown.rows) == (1, 1, 6, 3)
    covered = "".join(f"\x1b[{row};1H      " for row in (1, 2, 3))
    assert "\U0010eeee" not in cell_diff.diff(covered)
    (deletion,) = graphics.after(cell_diff.slots(80, 24))
    assert GRAPHICS.fullmatch(deletion)
    assert "a=d,d=I" in deletion
    assert graphics.empty


def test_pictures_of_pages_before_are_kept_while_there_is_room() -> None:
    pictures = PixelPictures()
    graphics, kept = Graphics(pictures, 1), 0
    for seed in range(3 * placeholders.SLOTS):
        frame = placed(pictures, seed, 4, 2)
        sent = graphics.before(frame)
        sent += graphics.after({placeholders.slot_of(placeholders.RUN.findall(frame)[0][0])})
        kept += sum("a=T" in one for one in sent) - sum("a=d" in one for one in sent)
        assert any("a=T" in one for one in sent)
        assert kept <= placeholders.SLOTS
    assert kept > 20
    assert len(graphics.clear()) == kept
    assert graphics.clear() == []


def test_another_size_may_be_another_terminal_which_has_no_pictures() -> None:
    pictures = PixelPictures()
    graphics, frame = Graphics(pictures, 1), placed(pictures, 0)
    first = graphics.before(frame)
    graphics.forget()
    deletion, *again = graphics.before(frame)
    assert "a=d" in deletion
    assert again == first
    assert graphics.before(frame) == []


def test_a_slot_that_another_picture_took_is_sent_anew() -> None:
    pictures = PixelPictures()
    graphics = Graphics(pictures, 1)
    frame = placed(pictures, 0, 4, 2)
    graphics.before(frame)
    for seed in range(1, placeholders.SLOTS + 1):
        later = placed(pictures, seed, 4, 2)
    assert later == frame  # the oldest gave its slot away
    deletion, sent = graphics.before(frame)
    assert "a=d" in deletion
    assert "a=T" in sent


def test_a_picture_is_a_small_png_of_its_cells_shape() -> None:
    pictures = PixelPictures()
    (lines,) = pictures.lines([np.full((50, 100, 3), (10, 200, 30), np.uint8)], 12, 6)
    one = pictures.placed(placeholders.slot_of(lines[0][0]))
    assert one is not None
    assert len(one.png) < 500
    with Image.open(io.BytesIO(one.png)) as file:
        picture = file.convert("RGB")
    assert picture.size == (120, 120)
    assert picture.getpixel((60, 60)) == (10, 200, 30)
    assert picture.getpixel((60, 5)) == (255, 255, 255)
    assert fits(48, 21)
    assert not fits(49, 1)
    assert not fits(1, 22)


async def test_what_goes_through_tmux_is_wrapped_with_its_escapes_doubled(
    driver: tuple[QuietDriver, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, written = driver
    monkeypatch.setenv("TMUX", "/tmp/x,1,0")
    opened._send_graphics([OWN])
    assert written == [through_tmux(OWN)]
    assert written[0].startswith("\x1bPtmux;\x1b\x1b_G")
    assert written[0].endswith("\x1b\x1b\\\x1b\\")


async def test_pictures_go_when_another_program_takes_the_terminal(
    driver: tuple[QuietDriver, list[str]],
) -> None:
    opened, written = driver
    pictures = PixelPictures()
    opened._graphics = Graphics(pictures, 1)
    opened.write(placed(pictures, 0))
    assert sum("a=T" in one for one in written) == 1
    with patch.object(LinuxDriver, "stop_application_mode", lambda self: None):
        opened.stop_application_mode()
    assert "a=d,d=I" in written[-1]
    opened.write(placed(pictures, 0))
    assert sum("a=T" in one for one in written) == 2
