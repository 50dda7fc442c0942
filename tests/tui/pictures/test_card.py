"""The card on which a person chooses how pictures are drawn."""

from pathlib import Path

import pytest

from tests.helpers.pilot import screen_text, until, until_screen, until_text
from tests.helpers.retrieved import retrieved_run
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.matches.screen import MatchesScreen
from tui.options import DisplayOptions, picture_way
from tui.pictures.card import PictureCard, fitting_rows
from tui.pictures.glyphs import glyphs
from tui.pictures.ways import CELLS, PIXELS
from tui.preferences import preferences_path, read_preferences

HINT = "P chooses how this terminal draws pictures"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    for name in ("TMUX", "STY", "TERM_PROGRAM", "WT_SESSION", "VTE_VERSION", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return retrieved_run(tmp_path)


async def test_the_card_fits_80_by_24_and_shows_the_mark_of_the_page_in_each_way(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        await pilot.press("m")
        await until_text(pilot, "query 1/4")
        await pilot.press("P")
        await until_screen(pilot, PictureCard)
        await until_text(pilot, "5 pixels")
        shown = screen_text(app)
        for number, name in enumerate((*CELLS, "pixels"), 1):
            assert f"{number} {name}" in shown
        for words in ("6 no pictures", "0 automatic", "esc Cancel", "Press its number"):
            assert words in shown
        drawn = set(shown)
        assert drawn & set(glyphs("octant").characters[1:]) - set(glyphs("quadrant").characters)
        assert any(0x100000 <= ord(character) < 0x10EEEE for character in drawn)
        await pilot.press("P", "escape")
        await until_screen(pilot, MatchesScreen)
        assert app.preferences.pictures == {}


async def test_a_number_chooses_at_once_and_at_the_next_start(run: Run) -> None:
    app = WatchApp(run, DisplayOptions(pictures="half"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        await pilot.press("m")
        await until_text(pilot, "query 1/4")
        assert picture_way(app) == "half"
        await pilot.press("P", "4")
        await until_screen(pilot, MatchesScreen)
        octants = set(glyphs("octant").characters) - set(glyphs("quadrant").characters)
        await until(pilot, lambda: set(screen_text(app)) & octants, "for octants")
    assert read_preferences(preferences_path())[0].pictures == {"xterm-256color": "octant"}
    assert picture_way(WatchApp(run)) == "octant"
    assert picture_way(WatchApp(run, DisplayOptions(pictures="half"))) == "half"


async def test_automatic_forgets_a_choice_for_this_terminal_only(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        for term, key in (("foot", "1"), ("xterm-256color", "5"), ("xterm-256color", "0")):
            monkeypatch.setenv("TERM", term)
            app.action_pictures()
            await until_screen(pilot, PictureCard)
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(app.screen, PictureCard))
        assert app.preferences.pictures == {"foot": "half"}


async def test_pixels_are_offered_only_where_they_may_work(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "linux")
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        app.action_pictures()  # over the curves: a drawn mark
        await until_screen(pilot, PictureCard)
        await until_text(pilot, "4 octant")
        assert "5 pixels" not in screen_text(app)
        await pilot.press("5")
        assert isinstance(app.screen, PictureCard)


async def test_the_hint_is_shown_once(run: Run) -> None:
    for hinted in (False, True):
        app = WatchApp(run)
        async with app.run_test(size=(80, 24)) as pilot:
            await until_text(pilot, "learning rate")
            await pilot.press("m")
            await until_text(pilot, "query 1/4")
            assert (HINT in screen_text(app)) is not hinted


@pytest.mark.parametrize(
    ("size", "rows"), [((80, 24), 6), ((120, 40), 9), ((140, 30), 12), ((40, 10), 6)]
)
def test_pictures_of_the_card_are_as_large_as_there_is_room(
    size: tuple[int, int], rows: int
) -> None:
    assert fitting_rows(len((*CELLS, PIXELS)), *size) == rows
