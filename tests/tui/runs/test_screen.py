"""The list of runs, as the monitor and `tmssl runs` show it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.helpers.pilot import until, until_screen, until_shows, until_still
from tests.helpers.run_folders import hit, write_run
from tmssl.config import Config, changed, to_dict
from tmssl.runs.events import End, Finding, Segment, Started, Step
from tmssl.runs.folder import hold_lock, open_run
from tmssl.runs.journal import JournalWriter
from tmssl.runs.listing import Listing, Row, differing
from tui.app import WatchApp
from tui.live.screen import LiveScreen
from tui.runs.dialogs import StopDialog
from tui.runs.messages import OpenRun
from tui.runs.screen import RunsScreen
from tui.widgets.choices import Choices
from tui.widgets.text_screen import TextScreen


def segment(**settings: object) -> Segment:
    config = changed(Config(), {"epochs": 10, **settings})
    return Segment(config=dict(to_dict(config)), chance=5.55, epochs=10, steps_per_epoch=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three runs: one that finished, one whose trainer vanished, one with a hostile name."""
    write_run(
        tmp_path,
        "a-first",
        Started(host="box"),
        segment(lr=0.1),
        Step(step=100, loss=3.5),
        hit(0.5),
        hit(0.75),
        End(status="finished"),
    )
    write_run(
        tmp_path,
        "b-second",
        segment(lr=0.3, views="mild"),
        Step(step=25, loss=5.5),
        Finding(code="x", text="loss is chance", advice="try sgd"),
    )
    write_run(tmp_path, "c\x1b]52;c;x\x07[b]")
    return tmp_path


def words(app: App[None]) -> str:
    """Everything on the screen."""
    lines = [str(option.prompt) for option in app.screen.query_one(Choices).options]
    return "\n".join([*lines, *(str(part.render()) for part in app.screen.query(Static))])


async def until_words(pilot: Pilot[None], *texts: str) -> str:
    """Wait until all of the texts are on the screen of runs; returns everything there."""

    def shown() -> str:
        everything = words(pilot.app)
        return everything if all(text in everything for text in texts) else ""

    return await until(pilot, shown, f"for {texts}")


async def listed(pilot: Pilot[None], count: int = 3) -> Choices:
    """Wait until the list of runs is read whole; returns it."""
    await until_screen(pilot, RunsScreen)
    await until_words(pilot, f"{count} runs")
    await until_still(pilot)
    return pilot.app.screen.query_one(Choices)


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 10)])
async def test_every_run_is_a_line_and_the_cursor_tells_more(
    folder: Path, size: tuple[int, int]
) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=size) as pilot:
        await listed(pilot)
        shown = words(app)
        assert not set(shown) & {"\x1b", "\x07"}
        assert "# finished" in shown
        if size[0] >= 80:
            assert "3.50 (5.55)" in shown
            assert "hit@10 0.75 (0.31)" in shown
        await pilot.press("down")
        await until_words(pilot, "try sgd", "lr 0.3")


async def test_typing_filters_by_name_state_and_setting(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        choices = await listed(pilot)

        async def until_listed(names: list[str]) -> None:
            await until(pilot, lambda: [option.id for option in choices.options] == names)

        for typed, found in (("lr=0.3", ["b-second"]), ("FINISHED", ["a-first"]), ("none", [])):
            await pilot.press("slash")
            app.screen.query_one("#search", Input).value = ""
            await pilot.press(*typed, "enter")
            await until_listed(found)
        await until_words(pilot, "press esc for all")
        await pilot.press("escape")
        await until(pilot, lambda: choices.option_count == 3)


async def test_the_cursor_begins_on_what_runs_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    rows = Listing.rows

    def counted(listing: Listing) -> Iterator[Row]:
        yield from rows(listing)
        looks.append(listing)

    monkeypatch.setattr(Listing, "rows", counted)
    with hold_lock(open_run(folder / "a-first")):  # the last to be read, and the first of the list
        app = WatchApp(None, runs_folder=folder)
        async with app.run_test(size=(80, 24)) as pilot:
            choices = await listed(pilot)
            assert choices.options[0].id == choices.chosen == "a-first"
            await pilot.press("down")
            await until(pilot, lambda: choices.chosen != "a-first")
            chosen, before = choices.chosen, len(looks)
            await until(pilot, lambda: len(looks) > before + 1)  # the folder was read anew
            await until_still(pilot)
            assert choices.chosen == chosen


async def test_two_marked_runs_are_compared_and_one_is_opened(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        await pilot.press("c")
        await until_words(pilot, "mark two runs")
        await pilot.press("end", "space", "up", "space", "c")
        await until_screen(pilot, TextScreen)
        await until_shows(pilot, "#text", "settings that differ: 2", "optim.lr", "mild")
        await pilot.press("escape")
        await until_screen(pilot, RunsScreen)
        await pilot.press("enter")
        await until_screen(pilot, LiveScreen)
        assert app.run_folder.name == "b-second"
        await pilot.press("o")
        await until_screen(pilot, RunsScreen)
        await until(pilot, lambda: app.screen.query_one(Choices).chosen == "b-second")
        await pilot.press("escape")
        await until_screen(pilot, LiveScreen)


async def test_an_empty_folder_says_how_to_start(tmp_path: Path) -> None:
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_words(pilot, "no runs here yet")


def test_a_second_look_reads_what_is_new(folder: Path) -> None:
    listing = Listing(folder)
    first = {row.run.name: row for row in listing.rows()}
    assert first["b-second"].loss == 5.5
    journal = JournalWriter(folder / "b-second" / "metrics.jsonl")
    for step in range(26, 126):
        journal.write(Step(step=step, loss=5.0 - step / 100))
    journal.close()
    second = {row.run.name: row for row in listing.rows()}
    assert second["b-second"].loss == pytest.approx(3.75)
    assert second["b-second"].epoch == 12.5
    pairs = differing(second["a-first"], second["b-second"])
    assert {pair.name: (pair.first, pair.second) for pair in pairs} == {
        "data.views": ("logo", "mild"),
        "optim.lr": (0.1, 0.3),
    }


async def test_a_second_enter_does_no_harm(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(pilot)
        run = open_run(folder / "b-second")
        for _ in range(2):
            app.post_message(OpenRun(run))
        await until_screen(pilot, LiveScreen)
        await until_still(pilot)
        assert app.run_folder == run
        await pilot.press("o")
        await listed(pilot)
        for _ in range(2):
            app.post_message(OpenRun(run))
        await until_screen(pilot, LiveScreen)
        await until_still(pilot)
        assert isinstance(app.screen, LiveScreen)
        app.push_screen(dialog := StopDialog())
        await until_screen(pilot, StopDialog)
        dialog.action_answer(True)
        dialog.action_answer(True)
        await until_screen(pilot, LiveScreen)
        await until_still(pilot)
        assert isinstance(app.screen, LiveScreen)
