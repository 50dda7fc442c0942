"""Pictures in pixels, on a terminal that plays kitty: each at its place, none left behind, nothing asked."""

import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.kitty import KittyGrid, Shown
from tests.helpers.retrieved import retrieved_run
from tests.helpers.terminal import Terminal, watch
from tmssl.data.pack.reader import open_pack
from tmssl.runs.folder import Run

KITTY = {"TERM": "xterm-kitty", "KITTY_WINDOW_ID": "1"}
TMUX = {"TERM": "tmux-256color", "TMUX": "/tmp/tmux-0/default,1,0"}
_CAPTION = re.compile(r"(?<!\S)(\d+)\. 0\.\d{3}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Marks of one colour each, so that a picture says which it is."""
    return retrieved_run(tmp_path_factory.mktemp("pixels"), solid=True)


class Kitty:
    """The monitor in a terminal that plays kitty."""

    def __init__(
        self, run: Run, opened: list[Terminal], *, tmux: bool = False, size: tuple[int, int]
    ) -> None:
        self.grid = KittyGrid(tmux=tmux)
        words = watch(run.path, *(["--pictures", "kitty"] if tmux else []))
        environment = TMUX if tmux else KITTY
        self.terminal = Terminal(words, size=size, environment=environment, grid=self.grid)
        opened.append(self.terminal)
        self.size = size
        pack = open_pack(run.path.parents[1] / "pack")
        self._colours = [np.median(pack.read([row])[0], axis=(0, 1)) for row in range(pack.count)]

    def press(self, key: bytes, shows: str) -> None:
        """Press a key and wait for its effect."""
        self.terminal.type(key)
        self.terminal.shows(shows)

    def resize(self, *size: int) -> None:
        """Another size; what a terminal shows beyond it is gone."""
        self.size = size[0], size[1]
        self.terminal.resize(*size)

    def pictures(self) -> list[Shown]:
        """What is seen."""
        return self.grid.shown(self.size)

    def shows_page(self, query: int) -> None:
        """Wait until the pictures are those of a query and of the matches that have captions, at their places."""
        self.until(lambda: self._is_page(query), f"the page of query {query} is not whole")

    def until(self, holds: Callable[[], object], words: str) -> None:
        """Wait until something holds; a picture may be under way while its cells are there."""

        def true() -> bool:
            try:
                return bool(holds())
            except (KeyError, RuntimeError):  # deleted just now, or changed by the reader
                return False

        self.terminal.wait_until(true, words, 20.0)

    def _is_page(self, query: int) -> bool:
        shown = self.pictures()
        if not shown or not all(one.whole for one in shown):
            return False
        first, *matches = shown
        captions = {
            (row, found.start() + 1): int(found[1])
            for row in range(1, self.size[1] + 1)
            for found in _CAPTION.finditer(self.grid.first_signs(row)[: self.size[0]])
        }
        places = {(one.row + one.rows, one.column): one for one in matches}
        if self._mark(first) != query or not captions or set(places) != set(captions):
            return False
        order = [1, 0, *range(2, 12)]  # as the newest evaluation has them
        others = [other for other in range(13) if other != query]
        return all(
            self._mark(places[place]) == others[order[rank - 1]] for place, rank in captions.items()
        )

    def _mark(self, one: Shown) -> int:
        """Which mark a picture shows, by the colour in its middle."""
        pixels = np.asarray(one.picture)
        middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
        return int(np.argmin([np.abs(middle - colour).sum() for colour in self._colours]))

    def is_clean(self) -> bool:
        """Whether no picture and no cell of one is left, and nothing was asked or is unknown."""
        assert self.grid.strays == []
        assert self.terminal.asked == []
        return not self.pictures() and not self.grid.pictures and not self.grid.placements


@pytest.mark.parametrize(
    "tmux", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["kitty", "tmux"]
)
def test_pictures_are_at_their_places_through_pages_sizes_and_screens(
    run: Run, opened: list[Terminal], tmux: bool
) -> None:
    kitty = Kitty(run, opened, tmux=tmux, size=(80, 24))
    kitty.terminal.shows("learning rate")
    assert kitty.is_clean()
    kitty.press(b"m", "query 1/4")
    kitty.shows_page(0)
    kitty.press(b"n", "query 2/4")
    kitty.shows_page(1)
    sent = len(kitty.grid.sent)
    kitty.press(b"p", "query 1/4")
    kitty.shows_page(0)
    assert len(kitty.grid.sent) == sent  # a picture is sent once
    for size in ((120, 40), (200, 60), (80, 24)):
        kitty.resize(*size)
        kitty.shows_page(0)
    kitty.press(b"?", "Keys")
    kitty.until(kitty.is_clean, "a page of text holds pictures")
    kitty.press(b"\x1b", "query 1/4")
    kitty.shows_page(0)
    kitty.press(b"P", "Press its number")
    kitty.until(lambda: any(one.columns == 12 for one in kitty.pictures()), "no pixels on the card")
    kitty.press(b"\x1b", "query 1/4")
    kitty.shows_page(0)
    kitty.press(b"\x1b", "learning rate")
    kitty.until(kitty.is_clean, "the curves hold pictures")
    kitty.resize(200, 60)
    kitty.press(b"o", "best matches of epoch-0006")
    kitty.shows_page(1)  # beside the list of runs
    kitty.press(b"P", "Press its number")
    kitty.until(lambda: len(kitty.pictures()) > 1, "no pixels on the card")
    kitty.press(b"\x1b", "best matches of epoch-0006")
    kitty.shows_page(1)
    kitty.press(b"\x1b", "learning rate")
    kitty.until(kitty.is_clean, "the curves hold pictures of the list of runs")
    kitty.press(b"m", "query 1/4")
    kitty.shows_page(0)
    assert kitty.terminal.leave() == 0
    kitty.until(lambda: not kitty.grid.pictures, "pictures are left after the end")
    assert kitty.terminal.left_to_read() == b""
    assert kitty.grid.strays == kitty.terminal.asked == []
    assert kitty.grid.rest == ""


_SCROLLED = """
import numpy as np
from rich.text import Text
from textual.app import App
from textual.containers import VerticalScroll
from textual.widgets import Static
from tui.pictures.pixels import PixelPictures
from tui.terminal.driver import QuietDriver
from tui.widgets.line_static import LineStatic

class Scrolled(App):
    BINDINGS = [("d", "down"), ("q", "quit"), ("x", "fail")]
    CSS = "LineStatic { width: 20; height: 9; } #over { dock: right; width: 64; }"

    def __init__(self):
        self.pixels, self.at = PixelPictures(), 0
        super().__init__(driver_class=QuietDriver)

    def compose(self):
        yield Static("over", id="over")
        with VerticalScroll():
            for at in range(6):
                yield LineStatic(id=f"mark{at}")

    def on_mount(self):
        for at in range(6):
            picture = np.full((40, 40, 3), 40 * at, np.uint8)
            (lines,) = self.pixels.lines([picture], 18, 8)
            self.query_one(f"#mark{at}", LineStatic).draw([Text(line) for line in lines])

    def action_down(self):
        self.at += 3
        self.query_one(VerticalScroll).scroll_to(y=self.at, animate=False)

    def action_fail(self):
        raise RuntimeError("on purpose")

Scrolled().run()
"""


@pytest.fixture
def scrolled(opened: list[Terminal]) -> Terminal:
    """Six pictures, one below the other, that scroll by three rows at key d; what is right of 16 columns is hidden."""
    terminal = Terminal(
        [sys.executable, "-c", _SCROLLED], environment=KITTY, grid=KittyGrid(), size=(80, 24)
    )
    opened.append(terminal)
    terminal.shows("over")
    return terminal


def seen(terminal: Terminal) -> dict[int, tuple[int, int, set[int], set[int]]]:
    """Rows and columns of each picture that are seen, by its grey, with the place of its upper left cell."""
    assert isinstance(terminal.grid, KittyGrid)
    return {
        round(int(np.asarray(one.picture)[80, 90, 0]) / 40): (
            one.row,
            one.column,
            {row for row, _ in one.cells},
            {column for _, column in one.cells},
        )
        for one in terminal.grid.shown((80, 24))
    }


def test_scrolled_pictures_are_cropped_where_the_widget_is(scrolled: Terminal) -> None:
    across = set(range(14))  # the bar takes two of sixteen

    def holds(wanted: dict[int, tuple[int, int, set[int], set[int]]]) -> Callable[[], bool]:
        return lambda: seen(scrolled) == wanted

    top = {at: (1 + 9 * at, 1, set(range(8)), across) for at in range(2)}
    top[2] = (19, 1, set(range(6)), across)
    scrolled.wait_until(holds(top), "not at the top")
    scrolled.type(b"d")
    moved = {
        0: (-2, 1, set(range(3, 8)), across),
        1: (7, 1, set(range(8)), across),
        2: (16, 1, set(range(8)), across),
    }
    scrolled.wait_until(holds(moved), "not scrolled by three")
    scrolled.type(b"ddd")
    later = {
        1: (-2, 1, set(range(3, 8)), across),
        2: (7, 1, set(range(8)), across),
        3: (16, 1, set(range(8)), across),
    }
    scrolled.wait_until(holds(later), "not scrolled by twelve")
    assert scrolled.leave() == 0
    assert isinstance(scrolled.grid, KittyGrid)
    assert (scrolled.grid.pictures, scrolled.grid.strays, scrolled.asked) == ({}, [], [])


def test_a_crash_leaves_no_picture(scrolled: Terminal) -> None:
    assert isinstance(scrolled.grid, KittyGrid)
    scrolled.wait_until(lambda: len(seen(scrolled)) == 3, "no pictures")
    scrolled.leave(b"x")
    scrolled.wait_until(lambda: b"on purpose" in scrolled.bytes, "no traceback")
    assert scrolled.grid.pictures == {}


@pytest.mark.slow
@pytest.mark.parametrize("passes_on", [True, False])
def test_tmux_passes_pictures_on_if_it_is_told_to(
    run: Run, opened: list[Terminal], tmp_path: Path, passes_on: bool
) -> None:
    assert shutil.which("tmux"), "this needs tmux: apt install tmux, or brew install tmux"
    tmux = ["tmux", "-S", str(tmp_path / "socket"), "-f", str(tmp_path / "tmux.conf")]
    allowed = "on" if passes_on else "off"
    (tmp_path / "tmux.conf").write_text(
        f"set -g allow-passthrough {allowed}\nset -g default-terminal tmux-256color\nset -g status off\n"
    )
    command = shlex.join(watch(run.path, "--pictures", "kitty"))
    inside = f"env -u TMUX_PANE {command}; echo left; sleep 100"
    outer = Terminal(
        [*tmux, "new-session", "-x", "80", "-y", "24", inside],
        environment={
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
        },  # kitty's may not be known here
        grid=KittyGrid(),
    )
    opened.append(outer)

    def tmux_shows(text: str) -> None:
        outer.wait_until(lambda: text in pane(), f"{text} is not shown")

    def pane(*more: str) -> str:
        time.sleep(0.05)  # it is polled
        words = [*tmux, "capture-pane", "-p", *more]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    try:
        tmux_shows("learning rate")
        outer.type(b"m")
        tmux_shows("query 1/4")
        tmux_shows("\U0010eeee")
        cell = r"\U0010eeee[\u0300-\u06ff]{3}"
        rows = [len(re.findall(cell, line)) for line in pane().splitlines()]
        assert rows.count(18 + 4 * 12) == 6  # the query beside four matches
        colours = set(re.findall(rf"38;5;(\d+)m(?:\x1b\[[\d;]*m)*{cell}", pane("-e")))
        assert len(colours) >= 9
        sent = re.compile(rb"\x1b_Gq=2,a=T,U=1,f=100,t=d,i=(\d+),")
        if passes_on:
            outer.wait_until(
                lambda: len(set(sent.findall(bytes(outer.bytes)))) == 9, "not nine pictures"
            )
            numbers = {int(number) for number in sent.findall(bytes(outer.bytes))}
            assert {number & 0xFFFFFF for number in numbers} == set(map(int, colours))
        outer.type(b"q")
        tmux_shows("left")
        deleted = re.findall(rb"\x1b_Gq=2,a=d,d=I,i=(\d+)\x1b", bytes(outer.bytes))
        assert set(map(int, deleted)) == (numbers if passes_on else set())
        assert passes_on or b"\x1b_G" not in outer.bytes
    finally:
        subprocess.run([*tmux, "kill-server"], capture_output=True, check=False)
