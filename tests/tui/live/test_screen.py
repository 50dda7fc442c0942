"""The curves worked by keyboard and mouse, as a person would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from tests.helpers.histories import run as history_events
from tmssl.config import Config, changed, to_dict, write_config
from tmssl.runs.events import Segment, Step
from tmssl.runs.folder import Run, create_run, hold_lock
from tmssl.runs.journal import JournalWriter
from tui.app import WatchApp
from tui.charts.panel import Charts
from tui.charts.widget import ChartView
from tui.live.overlay import OverlayDialog
from tui.widgets.list import Choices


def write(folder: Path, name: str, count: int = 400) -> Run:
    """A run of steps, its second half resumed."""
    run = create_run(folder, name)
    config = changed(Config(), {"epochs": 60, "lr": 0.1})
    write_config(config, run.config)
    journal = JournalWriter(run.journal)
    history = history_events(count, second=count // 2)
    for segment in history.segments:
        journal.write(
            Segment(
                number=segment.number,
                step=segment.step,
                epoch=segment.epoch,
                chance=5.5,
                config=dict(to_dict(config)),
                steps_per_epoch=10,
                epochs=60,
                t=1000.0 + 60 * segment.step,
            )
        )
        for step in history.steps:
            if segment.step < step.step <= (segment.step or count // 2 - 1) + count:
                journal.write(step)
    journal.close()
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return write(tmp_path / "runs", "first")


def shown(app: WatchApp, name: str) -> str:
    return str(app.screen.query_one(f"#{name}", Widget).render())


def charts(app: WatchApp) -> Charts:
    return app.screen.query_one(Charts)


async def drawn(pilot: Pilot[None]) -> None:
    """Let what was asked for be drawn."""
    for _ in range(200):
        await pilot.pause(0.02)
        found = pilot.app.screen.query(Charts)
        if found and not found.first()._is_drawing and found.first()._curves is not None:
            break
    await pilot.pause(0.05)


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await drawn(pilot)


async def test_zoom_pan_and_crosshair_by_keys(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await drawn(pilot)
        await press(pilot, "up", "up")
        low, high = charts(app).view.window or (0, 0)
        assert high == pytest.approx(40.0, abs=1.1)
        assert high - low == pytest.approx(40 / 2.25, abs=1.0)
        await press(pilot, "left")
        assert (charts(app).view.window or (9e9, 0))[0] < low
        await press(pilot, "0")
        assert charts(app).view.window is None
        await press(pilot, "v")
        assert "loss at 40" in shown(app, "loss")
        assert "│" in shown(app, "loss").splitlines()[3][10:]
        await press(pilot, "shift+left", "left")
        assert "loss at 3" in shown(app, "loss")
        assert "learning rate at 3" in shown(app, "lr")
        await press(pilot, "escape")
        assert " at " not in shown(app, "loss")


async def test_zoom_pan_and_crosshair_by_mouse(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await drawn(pilot)
        view = app.screen.query_one("#loss", ChartView)
        assert view.chart is not None
        assert view.chart.plot is not None
        middle = view.chart.plot.left + view.chart.plot.columns // 2
        await pilot._post_mouse_events([events_up()], view, offset=(middle, 5))
        await drawn(pilot)
        low, high = charts(app).view.window or (0, 0)
        assert low < 20 < high
        assert high - low < 40
        await pilot.mouse_down(view, offset=(middle, 5))
        await pilot.hover(view, offset=(middle + 5, 5))
        await pilot.mouse_up(view, offset=(middle + 5, 5))
        await drawn(pilot)
        assert (charts(app).view.window or (9e9, 0))[0] < low
        await pilot.click(view, offset=(middle, 5))
        await drawn(pilot)
        assert "loss at 1" in shown(app, "loss")
        assert charts(app).view.cursor is not None
        await pilot.click("#lr", offset=(20, 5), times=2)
        await drawn(pilot)
        assert charts(app).full == "lr"


def events_up() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_one_chart_takes_the_whole_screen_and_gives_it_back(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await drawn(pilot)
        await press(pilot, "tab", "z")
        visible = [view.id for view in app.screen.query(ChartView) if view.size.height]
        assert visible == ["lr"]
        assert app.screen.query_one("#lr").size.width > 70
        await press(pilot, "escape")
        assert app.screen.query_one("#loss").size.height > 8


async def test_runs_are_laid_over_each_other(run: Run) -> None:
    write(run.path.parent, "second\x1b[2J", 300)
    app = WatchApp(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await drawn(pilot)
        await pilot.press("a")
        await pilot.pause(0.2)
        assert isinstance(app.screen, OverlayDialog)
        assert "\x1b" not in str(app.screen.query_one(Choices).options[0].prompt)
        await pilot.press("space", "enter")
        await pilot.pause(0.3)
        await drawn(pilot)
        head = shown(app, "loss").splitlines()[0]
        assert "A first" in head
        assert "B second␛[2J" in head
        await pilot.press("a")
        await pilot.pause(0.2)
        await pilot.press("space", "enter")
        await pilot.pause(0.3)
        await drawn(pilot)
        assert "smoothed" in shown(app, "loss").splitlines()[0]


async def test_all_that_matters_stands_in_80x24_at_once(run: Run) -> None:
    app = WatchApp(run)
    with hold_lock(run):
        async with app.run_test(size=(80, 24)) as pilot:
            await drawn(pilot)
            screen = "\n".join(
                "".join(segment.text for segment in strip)
                for strip in app.screen._compositor.render_strips()
            )
    words = [
        "first",
        "> running",
        "epoch 40.00/60",
        "67 %",
        "epoch in",
        "end in",
        "loss 2.000 ~",
        "chance 5.500",
        "top-1",
        "spread",
        "lr",
        "img/s",
        "data wait",
        "GiB",
        "smoothed",
        "raw",
        "┅ chance",
        "┊",
        "planned",
        "past",
        "no evaluation yet",
        "nothing to report",
        "? Help",
        "q Quit",
    ]
    assert [word for word in words if word not in screen] == []
    assert len(screen.splitlines()) == 24


async def test_nothing_is_drawn_or_sent_while_nothing_changes(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        await drawn(pilot)
        await pilot.pause(1.2)
        with counted(app) as sent:
            await pilot.pause(1.5)
            assert sent == []
            journal = JournalWriter(run.journal)
            journal.write(Step(step=401, epoch=40.1, loss=2.0, t=9e9))
            journal.close()
            await pilot.pause(1.5)
            assert sent


@contextmanager
def counted(app: WatchApp) -> Iterator[list[object]]:
    """What the app displays."""
    sent: list[object] = []
    display = app._display

    def note(screen: object, renderable: object) -> None:
        sent.append(renderable)
        display(screen, renderable)  # type: ignore[arg-type]  # passed on as it came

    app._display = note  # type: ignore[method-assign]  # for the length of a test
    try:
        yield sent
    finally:
        app._display = display  # type: ignore[method-assign]  # as it was


async def test_a_trainer_that_dies_is_seen(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(100, 30)) as pilot:
        with hold_lock(run):
            for _ in range(100):
                await pilot.pause(0.05)
                if "running" in shown(app, "head"):
                    break
            assert "running" in shown(app, "head")
        for _ in range(100):
            await pilot.pause(0.05)
            if "dead" in shown(app, "head"):
                break
        assert "dead" in shown(app, "head")


async def test_a_change_of_size_is_taken_up_both_ways(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await drawn(pilot)
        for size in ((45, 12), (200, 60), (45, 12), (80, 24), (120, 40)):
            await pilot.resize_terminal(*size)
            await drawn(pilot)
            small = app.screen.query_one("#small").display
            assert small == (size[0] < 50)
            if not small:
                assert (
                    len(shown(app, "loss").splitlines())
                    == app.screen.query_one("#loss").size.height
                )
