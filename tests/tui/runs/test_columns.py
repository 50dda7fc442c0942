"""The columns of the list of runs, its order, and what a wide screen shows beside it."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.pilot import until, until_text
from tests.helpers.rows import row
from tests.helpers.screens import steady
from tmssl.runs.folder import Run
from tmssl.runs.listing import Row
from tui.app import WatchApp
from tui.bars import above_chance, bar
from tui.options import FULL
from tui.preferences import preferences_path, read_preferences
from tui.runs.column_dialog import ListLayout
from tui.runs.columns import DEFAULT, column, fitting, offered, sort_rows
from tui.runs.run_list import list_heading, list_line
from tui.theme import colour_styles
from tui.widgets.long_list import LongList

__all__ = ["steady"]  # a fixture

style_of = colour_styles(FULL)


def with_loss(name: str, loss: float | None, state: str = "finished") -> Row:
    return dataclasses.replace(row(name, state), loss=loss)


def test_figures_stand_at_the_right_of_their_column() -> None:
    loss = column("loss", [row()])
    lr = column("optim.lr", [row()])
    assert loss.cell(row(), style_of).plain == "  3.50 (5.55)"
    assert lr.title() == "    lr"
    assert lr.cell(row(), style_of).plain == "   0.1"
    assert column("data.views", [row()]).cell(row(), style_of).plain == "  mild"
    assert "> running" in column("state", [row()]).cell(row(), style_of).plain


@pytest.mark.parametrize("width", range(20, 200, 13))
def test_a_line_is_as_wide_as_its_heading_and_never_wider_than_asked(width: int) -> None:
    columns = fitting(DEFAULT, [row()], width - 2, 16)
    line = list_line(
        row("a-name-that-is-longer-than-its-column" * 2), columns, width, "B", style_of
    )
    assert len(line) == min(width, len(list_heading(columns, width, ""))) <= width
    assert line.plain.startswith("B a-name")


def test_the_order_is_by_value_with_what_lacks_one_last() -> None:
    runs = [with_loss("a", 2.0), with_loss("b", None), with_loss("c", 1.0), with_loss("d", 10.0)]

    def names(order: str) -> str:
        return "".join(one.run.name for one in sort_rows(runs, order))

    assert names("") == "dcba"
    assert names("loss") == "cadb"
    assert names("-loss") == "dacb"
    running = [*runs, with_loss("0", 3.0, "running")]
    assert sort_rows(running, "")[0].run.name == "0"


@given(st.lists(st.none() | st.floats() | st.text(max_size=3) | st.booleans(), max_size=8))
def test_any_values_of_a_setting_have_an_order(values: list[object]) -> None:
    runs = [dataclasses.replace(row(str(i)), settings={"a.b": v}) for i, v in enumerate(values)]
    for order in ("a.b", "-a.b"):
        assert len(sort_rows(runs, order)) == len(values)


def test_a_column_is_switched_and_sorted_by_three_ways() -> None:
    layout = ListLayout(("state", "loss"))
    assert layout.switched("loss").switched("loss").columns == ("loss", "state")
    assert layout.switched("optim.lr").columns == ("optim.lr", "state", "loss")
    orders = [layout := layout.sorted_by("loss") for _ in range(3)]
    assert [one.order for one in orders] == ["-loss", "loss", ""]
    assert offered([row()])[-1] == "train.seed"


def test_a_bar_begins_at_chance_and_ends_at_one() -> None:
    def drawn(value: float | None, began: float | None = None) -> str:
        return bar(value, 0.5, began, 10, style_of).plain

    assert drawn(0.5) == "─" * 10
    assert drawn(1.0) == "━" * 10
    assert drawn(0.75) == "━━━━━─────"
    assert drawn(0.775, began=0.75) == "━━━━━┃────"
    assert drawn(0.4) == "<" + "─" * 9
    assert drawn(None) == "─" * 10
    assert above_chance(0.5, 1.0) < 0


async def test_columns_are_chosen_sorted_by_and_kept(steady: Run) -> None:
    app = WatchApp(None, runs_folder=steady.path.parent)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_text(pilot, "10 runs")
        await pilot.press("t")
        await until_text(pilot, "the last chosen first")
        names = app.screen.query_one(LongList)
        names.choose("top1")
        await pilot.press("space", "s", "enter")
        await until_text(pilot, "top1 v")
        rows = app.screen.query_one(LongList).names
        assert rows[0] == "metu-base"
        assert rows[-1] == "second"  # it has no figures
    kept, _ = read_preferences(preferences_path())
    assert kept.run_columns[0] == "top1"
    assert kept.run_order == "-top1"


async def test_a_wide_screen_shows_curves_figures_and_matches_of_the_run_and_of_marked_ones(
    steady: Run,
) -> None:
    app = WatchApp(None, runs_folder=steady.path.parent)
    async with app.run_test(size=(200, 60)) as pilot:
        await until_text(pilot, "10 runs")
        runs = app.screen.query_one(LongList)
        runs.choose("r")
        await until_text(pilot, "best matches of epoch-0006")
        await until_text(pilot, "m1 mark 1")
        runs.choose("toy-long")
        await until_text(pilot, "no evaluation yet; press e")
        await pilot.press("space")
        runs.choose("metu-base")
        await until_text(pilot, "B toy-long")
        await until(pilot, lambda: runs.chosen == "metu-base")
