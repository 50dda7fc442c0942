"""The search screen: saved searches, pages, rectangles, what it asks for, and what it writes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.helpers.pilot import until, until_screen, until_shows, until_still, until_text
from tests.helpers.retrieved import retrieved_run, save_known_search
from tmssl.errors import InputError
from tmssl.runs.folder import Run
from tui.app import WatchApp
from tui.search.answer_page import nothing_found
from tui.search.crop_screen import CropScreen
from tui.search.records import open_search, read_search, save_search, saved_searches
from tui.search.screen import SearchScreen

CROPS = ["10%,20%,50%,40%", "40%,30%,50%,60%"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return retrieved_run(tmp_path_factory.mktemp("world"))


@pytest.fixture
def marks(run: Run) -> Iterator[Path]:
    """The folder of the run's marks, with a saved search for the time of a test."""
    marks, export = run.path.parents[1] / "marks", run.path / "export"
    save_known_search(run, marks, CROPS)
    yield marks
    export.unlink() if export.is_symlink() else shutil.rmtree(export)


async def opened(pilot: Pilot[None]) -> SearchScreen:
    """The search screen, with what it shows at first."""
    await pilot.press("slash")
    await until_screen(pilot, SearchScreen)
    await until_still(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, SearchScreen)
    return screen


async def test_a_saved_search_is_shown_paged_and_its_parts_are_told_apart(
    run: Run, marks: Path
) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        screen = await opened(pilot)
        page = await until_shows(pilot, "#found-marks", "logo 1/2, 24 marks, page 1/3")
        assert f"[{CROPS[0]}]" in page
        assert "1. 1.000" in page
        assert "likely codes" in page
        assert "rank 1 4 7" in page
        assert not set(page) & {"\x1b", "\u202e"}
        assert screen.query_one("#logo", Input).value == str(marks / "images" / "0003.png")
        await until_shows(pilot, "#searched", "saved 2026-11-29 16:00, compared with 24 marks")
        await pilot.press("escape", "n")
        await until_shows(pilot, "#found-marks", "page 2/3", "9. 0.733")
        await pilot.press("end")
        await until_shows(pilot, "#found-marks", "page 3/3")
        await pilot.press("n")
        await until_shows(pilot, "#found-marks", "page 1/3")
        await pilot.press("full_stop")
        await until_shows(pilot, "#found-marks", "logo 2/2", f"[{CROPS[1]}]")
        await pilot.press("minus")
        await until_shows(pilot, "#status", "about 12 matches")
        await pilot.press("slash")
        await until(pilot, lambda: screen.query_one("#logo", Input).has_focus)
        await pilot.press("escape", "escape")
        await until_text(pilot, "learning rate")


async def test_without_a_saved_search_the_screen_says_what_it_takes(run: Run) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_shows(pilot, "#found-marks", "Type the path of a logo")
        await pilot.press("enter")
        await until_shows(pilot, "#status", "type the path of an image")
        await pilot.press("tab", *"moon", "f2")
        await until_shows(pilot, "#status", "a text has no parts")
        await pilot.press("escape")
        await until_text(pilot, "learning rate")


async def test_a_drag_of_the_mouse_lays_a_rectangle(run: Run, marks: Path) -> None:
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_text(pilot, "logo 1/2")
        await pilot.press("f2")
        await until_screen(pilot, CropScreen)
        await until_shows(pilot, "#rectangle", "part 2 of 2")
        await pilot.mouse_down("#cropped", offset=(3, 4))
        await pilot.hover("#cropped", offset=(12, 9))
        await pilot.mouse_up("#cropped", offset=(12, 9))
        await until_shows(pilot, "#rectangle", "26.3% x 31.6%")
        await pilot.press("d", "d")
        await until_shows(pilot, "#rectangle", "no part: enter searches for the whole logo")
        await pilot.press("left", "shift+left", "plus", "d", "tab", "escape")
        await until_screen(pilot, SearchScreen)


def test_why_nothing_was_found_is_told(run: Run, marks: Path) -> None:
    (saved,) = saved_searches(run)
    record = open_search(saved).record
    none = [msgspec.structs.replace(one, matches=[]) for one in record.answers]
    none_above = msgspec.structs.replace(record, answers=none, above=0.9)
    assert nothing_found(none_above).startswith("none of 2 logos resembles a mark by at least 0.9")
    assert read_search(msgspec.json.encode(none_above).decode()).order == []
    assert "no mark passes" in nothing_found(msgspec.structs.replace(none_above, compared=0))


def test_of_risks_the_worst_is_first(run: Run, marks: Path) -> None:
    (saved,) = saved_searches(run)
    record = open_search(saved).record
    first, second = record.answers
    lower = [msgspec.structs.replace(one, similarity=one.similarity - 0.1) for one in first.matches]
    answers = [msgspec.structs.replace(first, matches=lower), second]
    record = msgspec.structs.replace(record, answers=answers, above=0.1)
    assert read_search(msgspec.json.encode(record).decode()).order == [1, 0]


async def test_a_search_is_saved_as_a_record_and_a_page(run: Run, marks: Path) -> None:
    (saved,) = saved_searches(run)
    text = saved.read_text()
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await until_text(pilot, "logo 1/2")
        saved.unlink()
        await pilot.press("escape", "w")
        await until_shows(pilot, "#status", "saved as ")
        assert saved.read_text() == text
        page = saved.with_suffix(".html").read_text("utf-8")
        assert page.count("data:image/png") == 2 * 25
        assert CROPS[1] in page


def test_a_record_is_not_written_through_a_link(run: Run, marks: Path, tmp_path: Path) -> None:
    (saved,) = saved_searches(run)
    search = open_search(saved)
    saved.unlink()
    (run.path / "export").rmdir()
    (tmp_path / "elsewhere").mkdir()
    (run.path / "export").symlink_to(tmp_path / "elsewhere")
    assert save_search(run, search)[1].startswith("not saved: ")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("held", ["", "{", "[]", '{"searched": 1}', "[" * 10_000])
def test_a_damaged_record_is_one_line(run: Run, marks: Path, held: str) -> None:
    (saved,) = saved_searches(run)
    saved.write_text(held)
    with pytest.raises(InputError, match="is no record of a search") as refused:
        open_search(saved)
    assert "\n" not in str(refused.value)


async def test_a_foreign_record_shows_no_other_file_and_no_other_pack(
    run: Run, marks: Path, tmp_path: Path
) -> None:
    (saved,) = saved_searches(run)
    record = json.loads(saved.read_text())
    record["answers"][0]["file"] = "/dev/zero"
    record["answers"][0]["matches"][0]["row"] = -1
    record["answers"][1]["file"] = str(marks / "labels.csv")
    record["note"] = "evil\x1b[2J\u202e"
    saved.write_text(json.dumps(record))
    async with WatchApp(run).run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        found = pilot.app.screen.query_one("#found-marks")
        await until(pilot, lambda: "it has fewer marks" in " ".join(str(found.render()).split()))
        await pilot.press("escape", "full_stop")
        await until_shows(pilot, "#found-marks", "logo 2/2")
        assert not set(str(pilot.app.screen.query_one("#searched").render())) & {"\x1b", "\u202e"}
    saved.unlink()
    saved.symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_bytes(msgspec.json.encode(record))
    with pytest.raises(InputError, match="link"):
        open_search(saved)


def test_the_screen_loads_no_model() -> None:
    code = (
        "import sys, tui.search.screen, tmssl.retrieval.search.filters, tmssl.retrieval.search.page, "
        "tmssl.retrieval.search.logos; print(*[m for m in ('torch', 'faiss', 'timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not re.search("[a-z]", done.stdout)
