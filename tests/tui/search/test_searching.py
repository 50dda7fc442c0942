"""Searches from the monitor on a run that was trained: what is typed is what the command finds."""

from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.pilot import until, until_screen, until_shows, until_still, until_text
from tests.helpers.tiny_run import tiny_run
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.search.crop_screen import CropScreen
from tui.search.records import Search
from tui.search.screen import SearchScreen

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return tiny_run(tmp_path_factory.mktemp("searching"), 24)


async def found(pilot: Pilot[None], screen: SearchScreen) -> Search:
    """What the search that was just begun has found."""
    await until(pilot, lambda: not screen._is_searching, "for the search")
    await until_still(pilot)
    assert screen._search is not None
    return screen._search


async def test_what_is_typed_is_what_the_command_finds(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run.path.parents[1])
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        await pilot.press("slash")
        await until_screen(pilot, SearchScreen)
        screen = pilot.app.screen
        assert isinstance(screen, SearchScreen)
        for typed, suggested in (("mar", "marks/"), ("images/0003", "marks/images/0003.png")):
            await pilot.press(*typed)
            await until(pilot, lambda: screen.query_one("#logo", Input)._suggestion)
            await pilot.press("right")
            assert screen.query_one("#logo", Input).value == suggested
        await pilot.press("f2")
        await until_screen(pilot, CropScreen)
        await until_shows(pilot, "#rectangle", "part 1 of 1: 50% x 50%")
        await pilot.press("left", "up", "a", "right", "plus", "shift+right", "J", "tab", "minus")
        told = await until_shows(pilot, "#rectangle", "part 1 of 2")
        await pilot.press("enter")
        first = await found(pilot, screen)
        assert [answer.file for answer in first.record.answers] == [
            str(run.path.parents[1] / "marks" / "images" / "0003.png")
        ] * 2
        left, top, width, height = first.record.answers[0].crop.split(",")
        assert f"{width} x {height} of the logo, {left} from the left, {top} from above" in told
        assert first.record.topk == 24
        await until_shows(pilot, "#found-marks", "logo 1/2, 24 marks")

        await pilot.press(
            "slash", "tab", "tab", "tab", *"title~1", "tab", *"26", "tab", *"0.1", "enter"
        )
        record = (await found(pilot, screen)).record
        assert (record.where, record.vienna, record.above) == (["title~1"], ["26"], 0.1)
        assert [answer.crop for answer in record.answers] == [a.crop for a in first.record.answers]
        assert all("1" in match.title for match in record.answers[0].matches)

        screen.query_one("#conditions", Input).value = "titel~1"
        await pilot.press("enter")
        assert (await found(pilot, screen)).record == record  # what was there stays
        await until_shows(pilot, "#status", "the catalogue has no column 'titel'")

        screen.query_one("#conditions", Input).value = ""
        screen.query_one("#logo", Input).value = "marks/images/0004.png"
        await pilot.press("enter")
        (answer,) = (await found(pilot, screen)).record.answers
        assert not answer.crop  # the rectangles were those of another logo


async def test_a_search_without_an_encoder_says_what_is_missing(run: Run, tmp_path: Path) -> None:
    bare = Run(tmp_path / "bare")
    bare.path.mkdir()
    bare.config.write_bytes(run.config.read_bytes())
    bare.journal.write_bytes(run.journal.read_bytes())
    image = run.path.parents[1] / "marks" / "images" / "0004.png"
    async with WatchApp(bare).run_test(size=(80, 24)) as pilot:
        await until_text(pilot, "learning rate")
        await pilot.press("slash")
        await until_screen(pilot, SearchScreen)
        screen = pilot.app.screen
        assert isinstance(screen, SearchScreen)
        screen.query_one("#logo", Input).value = str(image)
        await pilot.press("enter")
        await until_shows(pilot, "#status", "no checkpoint")
        await until(pilot, lambda: not screen._is_searching)
