"""The list of runs, as the monitor and `tmssl runs` show it."""

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.helpers.run_folders import hit, write_run
from tmssl.config import Config, changed, to_dict
from tmssl.runs.events import End, Finding, Segment, Started, Step
from tmssl.runs.folder import hold_lock, open_run
from tmssl.runs.journal import JournalWriter
from tmssl.runs.listing import Listing, differing
from tui.app import WatchApp
from tui.live.screen import LiveScreen
from tui.runs.dialogs import StopDialog
from tui.runs.messages import OpenRun
from tui.runs.screen import RunsScreen
from tui.widgets.list import Choices
from tui.widgets.text_screen import PageScreen


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


def words(app: WatchApp) -> str:
    """Everything on the screen."""
    lines = [str(option.prompt) for option in app.screen.query_one(Choices).options]
    return "\n".join([*lines, *(str(part.render()) for part in app.screen.query(Static))])


@pytest.mark.parametrize("size", [(80, 24), (200, 60), (40, 10)])
async def test_every_run_is_a_line_and_the_cursor_tells_more(
    folder: Path, size: tuple[int, int]
) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=size) as pilot:
        await pilot.pause(0.5)
        assert isinstance(app.screen, RunsScreen)
        shown = words(app)
        assert not set(shown) & {"\x1b", "\x07"}
        assert "3 runs" in shown
        assert "# finished" in shown
        if size[0] >= 80:
            assert "3.50 (5.55)" in shown
            assert "hit@10 0.75 (0.31)" in shown
        await pilot.press("down")
        await pilot.pause(0.2)
        assert "try sgd" in words(app)
        assert "lr 0.3" in words(app)


async def test_typing_filters_by_name_state_and_setting(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.5)
        for typed, found in (("lr=0.3", ["b-second"]), ("FINISHED", ["a-first"]), ("none", [])):
            await pilot.press("slash")
            app.screen.query_one("#search", Input).value = ""
            await pilot.press(*typed, "enter")
            await pilot.pause(0.1)
            assert [o.id for o in app.screen.query_one(Choices).options] == found
        assert "press esc for all" in words(app)
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert app.screen.query_one(Choices).option_count == 3


async def test_the_cursor_begins_on_what_runs_now(folder: Path) -> None:
    with hold_lock(open_run(folder / "a-first")):  # the last to be read, and the first of the list
        app = WatchApp(None, runs_folder=folder)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause(0.5)
            choices = app.screen.query_one(Choices)
            assert choices.options[0].id == choices.chosen == "a-first"
            await pilot.press("down")
            chosen = choices.chosen
            await pilot.pause(2.5)  # the next look
            assert choices.chosen == chosen != "a-first"


async def test_two_marked_runs_are_compared_and_one_is_opened(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.5)
        await pilot.press("c")
        await pilot.pause(0.1)
        assert "mark two runs" in words(app)
        await pilot.press("end", "space", "up", "space", "c")
        await pilot.pause(0.2)
        assert isinstance(app.screen, PageScreen)
        told = " ".join(str(part.render()) for part in app.screen.query(Static))
        assert "settings that differ: 2" in told
        assert "optim.lr" in told
        assert "mild" in told
        await pilot.press("escape", "enter")
        await pilot.pause(0.3)
        assert isinstance(app.screen, LiveScreen)
        assert app.run_folder.name == "b-second"
        await pilot.press("o")
        await pilot.pause(0.3)
        assert app.screen.query_one(Choices).chosen == "b-second"
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert isinstance(app.screen, LiveScreen)


async def test_an_empty_folder_says_how_to_start(tmp_path: Path) -> None:
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause(0.3)
        assert "no runs here yet" in words(app)


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
        await pilot.pause(0.5)
        run = open_run(folder / "b-second")
        for _ in range(2):
            app.post_message(OpenRun(run))
        await pilot.pause(0.5)
        assert isinstance(app.screen, LiveScreen)
        assert app.run_folder == run
        await pilot.press("o")
        await pilot.pause(0.5)
        for _ in range(2):
            app.post_message(OpenRun(run))
        await pilot.pause(0.5)
        assert isinstance(app.screen, LiveScreen)
        app.push_screen(dialog := StopDialog())
        await pilot.pause(0.2)
        dialog.action_answer(True)
        dialog.action_answer(True)
        await pilot.pause(0.2)
        assert isinstance(app.screen, LiveScreen)
