"""The matches in the monitor: figures, list, pages, comparison, full size, files."""

import html
import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.helpers.pilot import until, until_screen, until_shows, until_still
from tests.helpers.retrieved import retrieved_run
from tests.helpers.scores import group_recall
from tmssl.data.pack.reader import open_pack
from tmssl.retrieval.evaluation.matches import read_matches
from tmssl.runs.events import Eval, Score
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.matches.evaluations import (
    Evaluation,
    head_lines,
    history_line,
    history_lines,
    load_evaluation,
    main_figures,
    read_evaluations,
)
from tui.matches.figures_page import FiguresScreen
from tui.matches.full_resolution import (
    _term_images,
    read_original,
    render,
    show_full_resolution,
    side_by_side,
)
from tui.matches.match_grid import PAGE_SIZES, lay_out
from tui.matches.query_list import Selection, list_page
from tui.matches.screen import MatchesScreen
from tui.options import IMAGES, PLAIN, DisplayOptions, graphics_protocol
from tui.terminal.ascii import to_ascii
from tui.theme import colour_styles


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return retrieved_run(tmp_path_factory.mktemp("world"))


def text_of(app: WatchApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


async def opened(pilot: Pilot[None]) -> WatchApp:
    """The screen of the matches, with its first page drawn."""
    await pilot.press("m")
    await until_screen(pilot, MatchesScreen)
    await until(pilot, lambda: str(pilot.app.screen.query_one("#gallery", Static).render()))
    await until_still(pilot)
    app = pilot.app
    assert isinstance(app, WatchApp)
    return app


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_figures_list_and_page_say_what_was_found(run: Run, size: tuple[int, int]) -> None:
    async with WatchApp(run).run_test(size=size) as pilot:
        app = await opened(pilot)
        page = await until_shows(pilot, "#gallery", "query 1/4")
        head = text_of(app, "#figures")
        assert "0.75" in head
        assert "0.25" in head  # chance
        assert "3.0" in head  # lift
        assert "by epoch" in head + text_of(app, "#history")
        assert "query 1/4, no hit found, AP 0.00: m0 mark 0" in page
        assert "1. 0.967" in page
        assert "- miss" in page
        assert "03.01 Quadrupeds" in page  # a shared code with its title
        assert "rank 2" in page
        await until_shows(
            pilot, "#gallery-words", "2/2 epoch-0006, 24 marks searched, showing all  by OpenMoji"
        )
        assert app.screen.query_one("#beside").display == (size[0] > 100)
        await pilot.press("n", "n")
        page = await until_shows(pilot, "#gallery", "query 3/4")
        assert not set(page) & {"\x1b", "\u202e"}
        assert "+ hit" in page


async def test_queries_are_filtered_searched_and_the_page_stays_on_its_query(run: Run) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        app = await opened(pilot)
        await pilot.press("a")
        await until_shows(pilot, "#gallery", "query 1/1, no hit found, AP 0.00: m0")
        await pilot.press("a", "a", "slash")
        await until(pilot, lambda: app.screen.query_one("#search", Input).has_focus)
        app.screen.query_one("#search", Input).value = "M3"
        await pilot.press("enter")
        await until_shows(pilot, "#gallery", "query 1/1")
        await until_shows(pilot, "#gallery", "= same")
        await until_shows(pilot, "#gallery-words", "showing worst with 'M3'")
        await pilot.press("left_square_bracket")
        await until_shows(pilot, "#gallery-words", "1/2 epoch-0003")
        await until_shows(pilot, "#gallery", "m3 mark 3")


async def test_a_narrow_screen_shows_the_list_instead_and_a_wide_one_beside(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("t")
        await until(pilot, lambda: not app.screen.query_one("#gallery").display)
        listed = await until_shows(pilot, "#queries", "page 1/1", "m1 mark 1")
        assert not set(listed) & {"\x1b", "\u202e"}
        await pilot.press("end")

        def chosen() -> str:
            lines = text_of(app, "#queries").splitlines()
            (line,) = (line for line in lines if line.startswith(">"))
            return line

        await until(pilot, lambda: "m3 mark 3" in chosen())
        await pilot.click("#queries", offset=(5, 3))  # below its title and its heading
        await pilot.press("t")
        await until_shows(pilot, "#gallery", "query 2/4")
        await pilot.resize_terminal(140, 40)
        await pilot.press("t")
        parts = app.screen.query("#queries, #gallery")
        await until(pilot, lambda: [part.display for part in parts] == [True, True])


async def test_two_evaluations_stand_one_above_the_other(run: Run) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        app = await opened(pilot)
        await pilot.press("n", "d")
        page = await until_shows(pilot, "#gallery", "now 2")
        assert "epoch-0006: first hit at 2, AP 0.50" in page
        assert "epoch-0003: first hit at 2, AP 0.50" in page
        assert "was 2" in page
        assert "now 2" in page
        assert "same rank" in page
        await pilot.press("d")
        await until(pilot, lambda: "was 2" not in text_of(app, "#gallery"))


async def test_every_figure_and_the_history_are_a_page(run: Run) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("u")
        await until_screen(pilot, FiguresScreen)
        figures = "hit@10           0.750    0.250  3.00"
        await until_shows(pilot, "#text", figures, "division hit@10 by epoch")


@pytest.mark.parametrize(("key", "begins"), [("w", b"<!doctype html>"), ("W", b"\x89PNG")])
async def test_what_is_shown_is_written_as_a_page_or_a_sheet(
    run: Run, key: str, begins: bytes
) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press(key)
        await until_shows(pilot, "#status", "4 queries written")
        path = run.path / "export" / f"epoch-0006.{'html' if key == 'w' else 'png'}"
        assert path.read_bytes().lower().startswith(begins.lower())
        if key == "w":
            assert "all queries" in path.read_text("utf-8")


async def test_ascii_pictures_are_letters(run: Run) -> None:
    app = WatchApp(run, DisplayOptions(ascii=True))
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_shows(pilot, "#gallery", "@", "2. 0.933")
        shown = html.unescape(re.sub("<[^>]*>", "", app.export_screenshot().split("</style>")[1]))
        assert "query 1/4" in shown.replace("\xa0", " ")
        assert shown.replace("\xa0", " ").isascii()


def test_what_is_not_ascii_keeps_its_cells() -> None:
    assert to_ascii("┌─┐…▀ “a” 秘é") == '+-+.- "a" ???'


async def test_without_an_evaluation_the_matches_say_what_to_do(tmp_path: Path) -> None:
    made = retrieved_run(tmp_path)
    for path in made.eval.iterdir():
        path.unlink()
    async with WatchApp(made).run_test(size=(80, 24)) as pilot:
        app = await opened(pilot)
        await until_shows(pilot, "#gallery", "no evaluation yet; press e")
        await pilot.press("d", "i", "w", "u", "n", "a", "t", "pagedown", "end", "comma", "plus")
        await until_still(pilot)
        assert isinstance(app.screen, MatchesScreen)


async def test_damaged_matches_and_figures_are_told(tmp_path: Path) -> None:
    made = retrieved_run(tmp_path)
    (made.eval / "epoch-0006.matches.jsonl").write_text("{")
    (made.eval / "epoch-0003.json").write_text("no JSON")
    async with WatchApp(made).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_shows(pilot, "#gallery", "is damaged")
        await pilot.press("left_square_bracket")
        await until_shows(pilot, "#figures", "the figures of epoch-0003 cannot be read")
        await until_shows(pilot, "#gallery", "query 1/4")


def test_evaluations_come_by_epoch_also_within_one(tmp_path: Path) -> None:
    for name in ("epoch-0024.40", "epoch-0024", "epoch-0003", "odd"):
        (tmp_path / f"{name}.matches.jsonl").touch()
    found = [one.name for one in read_evaluations(tmp_path)]
    assert found == ["odd", "epoch-0003", "epoch-0024", "epoch-0024.40"]
    assert load_evaluation(tmp_path / "nowhere", -1).problem


def an_evaluation(epoch: int, value: float, k: int = 10) -> Evaluation:
    score = Score(metric="hit", level="division", codes="figurative", k=k, value=value, chance=0.25)
    return Evaluation(f"epoch-{epoch:04d}", Path(), Eval(epoch=epoch, scores=[score]))


def test_the_history_tells_the_newest_that_fit_and_marks_the_shown_one() -> None:
    found = tuple(an_evaluation(epoch, epoch / 100) for epoch in range(1, 50))
    line = history_line(found, 47, 80).plain
    assert len(line) <= 80
    assert "[48 0.48]" in line
    assert " 49 0.49 " in line
    assert " 1 0.01" not in line


def test_the_history_begins_with_the_line_to_beat_and_marks_it_in_each_bar() -> None:
    found = []
    for epoch, value in ((1, 0.6), (2, 0.7), (3, 0.5)):
        score = group_recall(value, 0.1, {"untrained": 0.2, "before training": 0.65})
        event = Eval(epoch=epoch, scores=[score])
        found.append(Evaluation(f"epoch-{epoch:04d}", Path(), event))
    styles = colour_styles(PLAIN)
    head, start, *bars = (line.plain for line in history_lines(tuple(found), 2, 5, styles))
    assert head == "same-group recall@10 by epoch"
    assert start.split()[0] == "start"
    assert start.endswith("0.650")
    assert [bar.split()[-1] for bar in bars] == ["0.600", "0.700", "0.500"]
    places = {bar.index("┃") for bar in bars}
    assert places == {start.rindex("━") + 1}
    assert "before" in head_lines(tuple(found), 2, 200, 60)[0].plain
    _, *untold = (line.plain for line in history_lines((an_evaluation(1, 0.5),), 0, 5, styles))
    assert len(untold) == 1
    assert "┃" not in untold[0]


@pytest.mark.parametrize("width", [30, 80, 200])
@pytest.mark.parametrize("height", [24, 60])
def test_heads_fit_any_width_and_any_evaluation(width: int, height: int) -> None:
    found = (
        an_evaluation(1, 0.5, k=5),
        Evaluation("epoch-0002", Path(), None),
        Evaluation("epoch-0003", Path(), Eval(scores=[])),
        an_evaluation(4, 0.6, k=5),
    )
    for index in range(len(found)):
        lines = head_lines(found, index, width, height)
        assert lines
        assert all(line.cell_len <= width for line in lines)
    assert main_figures(found[0].event)[0][0] == "division hit@5"
    assert head_lines((), 0, width, height) == []


@pytest.mark.parametrize("wanted", PAGE_SIZES)
@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize(("width", "height"), [(30, 10), (80, 19), (120, 34), (160, 48), (300, 90)])
def test_a_page_fits_its_room(width: int, height: int, blocks: int, wanted: int) -> None:
    layout = lay_out(width, height, wanted, blocks)
    across = 2 * layout.query_rows + 2 + layout.columns * (2 * layout.match_rows + 2) - 2
    assert layout.matches >= 1
    if width >= 80:
        assert across <= width
        assert layout.lines * (layout.match_rows + layout.caption_rows) <= height // blocks


def test_the_list_is_paged_and_the_cursor_on_its_page(run: Run) -> None:
    queries = tuple(read_matches(run.eval / "epoch-0006.matches.jsonl")[1]) * 25
    lines = list_page(queries, 57, 60, 11).plain.splitlines()
    assert "page 6/10" in lines[0]
    assert len(lines) == 11
    assert [at for at, line in enumerate(lines) if line.startswith(">")] == [8]
    assert all(len(line) == 60 for line in lines)


def test_a_selection_keeps_its_query_when_the_evaluation_changes(run: Run) -> None:
    queries = tuple(read_matches(run.eval / "epoch-0006.matches.jsonl")[1])
    chosen = Selection().with_queries(queries).moved(3)
    assert chosen.with_queries(queries[::-1]).query == queries[3]
    assert chosen.with_queries(queries[:2]).index == 0
    assert chosen.moved(1).index == 0
    assert chosen.at(99).index == 3
    assert Selection().moved(1).query is None


def test_full_resolution_shows_the_files_and_the_match_that_is_asked_for(run: Run) -> None:
    header, queries = read_matches(run.eval / "epoch-0006.matches.jsonl")
    pack, said, asked = open_pack(Path(header.pack)), io.StringIO(), iter(["2", "99", "x\x1b", ""])
    show_full_resolution(
        queries[1], pack, "block", lambda line: print(line, file=said), lambda _: next(asked)
    )
    told = said.getvalue()
    assert told.count("left: m1 mark 1 (48 x 48)") == 4
    assert "rank 2, similarity 0.933, hit; 03.01" in told
    assert "\u2580" in told  # half blocks


def test_an_image_file_that_is_gone_or_outside_is_drawn_from_the_pack(tmp_path: Path) -> None:
    made = retrieved_run(tmp_path)
    pack = open_pack(Path(read_matches(made.eval / "epoch-0006.matches.jsonl")[0].pack))
    Image.new("RGB", (9, 9)).save(tmp_path / "outside.png")
    assert read_original(pack, 0, "images/0000.png")[1] == "48 x 48"
    for path in ("images/gone.png", "../outside.png", "", "labels.csv"):
        assert read_original(pack, 0, path)[1] == "48 x 48 of the pack"


@pytest.mark.parametrize(
    ("by", "begins"), [("block", "\x1b[38;2;"), ("kitty", "\x1b_G"), ("iterm2", "\x1b]1337;")]
)
def test_graphics_reach_the_terminals_that_were_named_and_ask_nothing(
    by: str, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by != "block":
        pytest.importorskip("term_image")  # there is none for Python 3.14
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    dice = np.random.default_rng(0)
    pixels = Image.fromarray(dice.integers(0, 256, (200, 300, 3), dtype=np.uint8))
    text = render(side_by_side(pixels, pixels.resize((50, 50))), 80, 20, by)
    assert begins in text
    assert "\x1b[c" not in text
    assert "a=q" not in text
    assert len(text.splitlines()) <= 20
    assert render(pixels, 80, 20, "off") == "(pictures are off)"
    assert render(pixels, 80, 20, by, way="letters").isascii()


@pytest.mark.parametrize("by", ["kitty", "iterm2"])
def test_cells_are_drawn_where_term_image_is_not_installed_and_a_line_says_how_to(
    run: Run, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setitem(sys.modules, "term_image", None)  # an import of it fails
    _term_images.cache_clear()
    said: list[str] = []
    header, queries = read_matches(run.eval / "epoch-0006.matches.jsonl")
    try:
        lines = render(Image.new("RGB", (40, 20), "red"), 80, 24, by, way="octant").split("\n")
        show_full_resolution(
            queries[1], open_pack(Path(header.pack)), by, said.append, lambda _: "", way="octant"
        )
    finally:
        _term_images.cache_clear()
    assert lines == ["\x1b[48;5;196m" + " " * 80 + "\x1b[0m"] * 20
    advice = "for this Python" if sys.version_info >= (3, 14) else "pip install 'tmssl[inline]'"
    assert advice in said[-1]
    assert "\x1b" not in said[-1]


@pytest.mark.parametrize(
    ("asked", "environment", "found"),
    [
        ("auto", {}, "block"),
        ("auto", {"KITTY_WINDOW_ID": "1"}, "kitty"),
        ("auto", {"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ("auto", {"KITTY_WINDOW_ID": "1", "TMUX": "x"}, "block"),
        ("auto", {"KITTY_WINDOW_ID": "1", "TERM": "screen-256color"}, "block"),
        ("kitty", {"TMUX": "x"}, "kitty"),
        ("off", {}, "off"),
    ],
)
def test_the_environment_alone_says_how_pictures_are_drawn(
    asked: str, environment: dict[str, str], found: str
) -> None:
    assert asked in IMAGES
    assert graphics_protocol(asked, environment) == found
