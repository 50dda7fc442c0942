"""The form that starts a run: checked as the command line checks, before anything begins."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from tests.helpers.marks import draw_marks
from tests.helpers.pilot import until_screen, until_shows
from tmssl.errors import InputError
from tui.app import WatchApp
from tui.runs.completion import SettingSuggester, complete_path, complete_setting
from tui.runs.screen import RunsScreen
from tui.runs.start_form import StartForm, parse_form
from tui.subprocesses import run_command

EMPTY = dict.fromkeys(("recipe", "source", "epochs", "lr", "batch_size", "more", "name"), "")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({}, "give --data with a folder"),
        ({"source": "nowhere"}, "there is nothing at nowhere"),
        ({"recipe": "tpy"}, "did you mean 'toy'"),
        ({"more": "lrr=1"}, "did you mean 'lr'"),
        ({"more": "lr"}, "write NAME=VALUE"),
        ({"more": "lr='1"}, "cannot be read"),
        ({"epochs": "many"}, "bad setting"),
        ({"lr": "-1"}, "bad setting"),
        ({"batch_size": "9", "more": "gpus=2"}, "give a multiple of 2"),
        ({"lr": "1e-9", "recipe": "single-4090"}, "min_lr is"),
    ],
)
def test_what_is_wrong_is_said_as_the_command_line_says_it(
    typed: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        parse_form({**EMPTY, **typed})


def test_fields_speak_after_the_settings_and_those_after_the_recipe(tmp_path: Path) -> None:
    marks = draw_marks(tmp_path / "my marks", 2)
    found = parse_form(
        {
            **EMPTY,
            "recipe": "toy",
            "source": str(marks),
            "epochs": "7",
            "more": "epochs=9 views=mild",
        }
    )
    assert found.config.train.epochs == 7
    assert found.config.data.views == "mild"
    assert found.config.data.source == str(marks)
    assert found.config.optim.temperature == 0.05
    assert found.settings[-1] == "epochs=7"


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_the_form_shows_what_it_comes_to(tmp_path: Path, size: tuple[int, int]) -> None:
    marks = draw_marks(tmp_path / "marks", 2)
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=size) as pilot:
        await until_screen(pilot, RunsScreen)
        await pilot.press("n")
        await until_screen(pilot, StartForm)
        await until_shows(pilot, "#verdict", "give --data")
        app.screen.query_one("#source", Input).value = str(marks)
        app.screen.query_one("#lr", Input).value = "0.3"
        await until_shows(pilot, "#verdict", "adamw to lr 3.00e-01")
        await until_shows(pilot, "#plan-chart", "planned")
        app.screen.query_one("#lr", Input).value = "fast"
        await pilot.press("enter")
        await until_shows(pilot, "#verdict", "! bad setting")
        assert isinstance(app.screen, StartForm)
        await pilot.press("escape")
        await until_screen(pilot, RunsScreen)


@pytest.mark.slow
async def test_a_dry_run_says_what_the_run_would_take(tmp_path: Path) -> None:
    marks = draw_marks(tmp_path / "marks", 64)
    app = WatchApp(None, runs_folder=tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_screen(pilot, RunsScreen)
        await pilot.press("n")
        await until_screen(pilot, StartForm)
        app.screen.query_one("#source", Input).value = str(marks)
        app.screen.query_one("#more", Input).value = "image_size=32 init=none device=cpu"
        app.screen.query_one("#batch_size", Input).value = "16"
        await until_shows(pilot, "#verdict", "N 16")
        await pilot.press("f2")
        await until_shows(pilot, "#measured", "whole run", "memory")


def test_a_path_is_completed_to_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("marks/inner", "marks-2", ".hidden"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("labels.csv", "evil\x1b[2J"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert complete_path("ma") == "marks/"
    assert complete_path("marks/") == "marks/inner/"
    assert complete_path("la") == "labels.csv"
    assert complete_path(f"{tmp_path}/marks-") == f"{tmp_path}/marks-2/"
    assert complete_path("marks::l") == "marks::labels.csv"
    assert complete_path(".h") == ".hidden/"
    for nothing in ("", "ev", "nowhere/x", "labels.csv/x", "marks::"):
        assert complete_path(nothing) is None


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("tem", "temperature="), ("lr=0.1 cached", "lr=0.1 cached_views="), ("optim.l", "optim.lr=")],
)
async def test_a_setting_is_completed_by_its_name(typed: str, completed: str) -> None:
    assert await SettingSuggester().get_suggestion(typed) == completed
    for nothing in ("", "lr=", "lr=0.1 ", "nosuch"):
        assert await SettingSuggester().get_suggestion(nothing) is None


@given(st.text(max_size=40))
def test_any_text_can_be_completed_or_not(typed: str) -> None:
    for found in (complete_path(typed.replace("\0", "")), complete_setting(typed, ["lr", "views"])):
        assert found is None or found.casefold().startswith(typed.replace("\0", "").casefold())


def test_a_child_tells_each_line_and_its_exit_code() -> None:
    told: list[str] = []
    code, out, last = run_command(
        ["sh", "-c", "echo one >&2; echo data; printf 'two\\033[2J\\n' >&2; exit 3"], told.append
    )
    assert (code, out) == (3, "data\n")
    assert told == ["one", "two\u241b[2J"]
    assert last == told[-1]
