"""The list of runs, as the monitor and `tmssl runs` show it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.text import Text
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static

from tests.helpers.pilot import (
    strips,
    until,
    until_screen,
    until_shows,
    until_still,
    until_text,
)
from tests.helpers.run_folders import hit, write_run
from tmssl.config import Config, changed, to_dict
from tmssl.runs.events import End, Finding, Segment, Started, Step
from tmssl.runs.folder import hold_lock, open_run
from tmssl.runs.journal import JournalWriter
from tmssl.runs.listing import Row, differing
from tmssl.runs.scan import Scan
from tui.app import WatchApp
from tui.live.screen import LiveScreen
from tui.runs.dialogs import StopDialog
from tui.runs.messages import OpenRun
from tui.runs.run_list import list_line
from tui.runs.screen import RunsScreen
from tui.widgets.long_list import LongList
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
    lines = [line.text for line in strips(app)]
    return "\n".join([*lines, *(str(part.render()) for part in app.screen.query(Static))])


async def until_words(pilot: Pilot[None], *texts: str) -> str:
    """Wait until all of the texts are on the screen of runs; returns everything there."""

    def shown() -> str:
        everything = words(pilot.app)
        return everything if all(text in everything for text in texts) else ""

    return await until(pilot, shown, f"for {texts}")


async def listed(pilot: Pilot[None], count: int = 3) -> LongList:
    """Wait until the list of runs is read whole; returns it."""
    await until_screen(pilot, RunsScreen)
    await until_words(pilot, f"{count:,} runs")
    await until_still(pilot)
    return pilot.app.screen.query_one(LongList)


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
        listed_runs = await listed(pilot)

        async def until_listed(names: list[str]) -> None:
            await until(pilot, lambda: list(listed_runs.names) == names)

        for typed, found in (("lr=0.3", ["b-second"]), ("FINISHED", ["a-first"]), ("none", [])):
            await pilot.press("slash")
            app.screen.query_one("#search", Input).value = ""
            await pilot.press(*typed, "enter")
            await until_listed(found)
        await until_words(pilot, "press esc")
        await pilot.press("escape")
        await until(pilot, lambda: len(listed_runs.names) == 3)


async def test_the_cursor_begins_on_what_runs_now(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []
    look = Scan.look

    def counted(scan: Scan) -> Iterator[Row]:
        yield from look(scan)
        looks.append(scan)

    monkeypatch.setattr(Scan, "look", counted)
    with hold_lock(open_run(folder / "a-first")):  # the last to be read, and the first of the list
        app = WatchApp(None, runs_folder=folder)
        async with app.run_test(size=(80, 24)) as pilot:
            listed_runs = await listed(pilot)
            assert listed_runs.names[0] == listed_runs.chosen == "a-first"
            await pilot.press("down")
            await until(pilot, lambda: listed_runs.chosen != "a-first")
            chosen, before = listed_runs.chosen, len(looks)
            await until(pilot, lambda: len(looks) > before + 1)  # the folder was read anew
            await until_still(pilot)
            assert listed_runs.chosen == chosen


async def test_the_cursor_is_on_what_runs_now_also_where_it_is_read_last(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Scan.look

    def halting(scan: Scan) -> Iterator[Row]:
        for number, row in enumerate(look(scan)):
            if number == 1:  # the first two are shown before the last, which ends the look
                time.sleep(0.6)
            yield row

    monkeypatch.setattr(Scan, "look", halting)
    with hold_lock(open_run(folder / "a-first")):
        app = WatchApp(None, runs_folder=folder)
        async with app.run_test(size=(80, 24)) as pilot:
            listed_runs = await listed(pilot)
            assert listed_runs.names[0] == listed_runs.chosen == "a-first"


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
        await until(pilot, lambda: app.screen.query_one(LongList).chosen == "b-second")
        await pilot.press("escape")
        await until_screen(pilot, LiveScreen)


async def test_an_empty_folder_says_how_to_start(tmp_path: Path) -> None:
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_words(pilot, "no runs here yet")


def test_a_second_look_reads_what_is_new(folder: Path) -> None:
    scan = Scan(folder)
    first = {row.run.name: row for row in scan.look()}
    assert first["b-second"].loss == 5.5
    journal = JournalWriter(folder / "b-second" / "metrics.jsonl")
    for step in range(26, 126):
        journal.write(Step(step=step, loss=5.0 - step / 100))
    journal.close()
    second = {row.run.name: row for row in scan.look()}
    assert set(second) == {"b-second"}
    assert second["b-second"].loss == pytest.approx(3.75)
    assert second["b-second"].epoch == 12.5
    pairs = differing(first["a-first"], second["b-second"])
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


async def test_of_a_thousand_runs_only_lines_that_are_seen_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1000):
        path = tmp_path / f"r{number:03d}"
        path.mkdir()
        (path / "config.toml").touch()
    made = []

    def counted(row: Row, *others: Any) -> Text:
        made.append(row)
        return list_line(row, *others)

    monkeypatch.setattr("tui.runs.screen.list_line", counted)
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        runs = await listed(pilot, 1000)
        await until(pilot, lambda: runs.chosen == "r999")
        made.clear()
        await pilot.press("down")
        await until(pilot, lambda: runs.chosen == "r998")
        await until_still(pilot)
        assert len(made) <= 2 * 24
        await pilot.press("end")
        await until(pilot, lambda: runs.chosen == "r000")
        await until_text(pilot, "r000")
        await pilot.press("home", "up")
        await until_text(pilot, "r000")
        await pilot.press("pageup")
        await until(pilot, lambda: runs.chosen not in ("r000", "r999"))
        await until_still(pilot)
        assert len(made) <= 20 * 24
        chosen = runs.chosen
        await pilot.click(runs, offset=(5, 2))
        await until_screen(pilot, LiveScreen)
        assert app.run_folder.name != chosen


async def test_the_cursor_stays_on_its_run_when_others_come_and_go(folder: Path) -> None:
    app = WatchApp(None, runs_folder=folder)
    async with app.run_test(size=(80, 24)) as pilot:
        runs = await listed(pilot)
        runs.choose("b-second")
        write_run(folder, "z-new")
        await until_words(pilot, "4 runs")
        assert runs.chosen == "b-second"
        shutil.rmtree(folder / "z-new")
        shutil.rmtree(folder / "b-second")
        await until_words(pilot, "2 runs")
        assert runs.chosen == runs.names[0]
