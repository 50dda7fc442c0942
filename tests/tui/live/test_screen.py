"""The curves worked by keyboard and mouse, as a person would."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widget import Widget

from tests.helpers.histories import history_of
from tests.helpers.pilot import screen_text, until, until_screen, until_still
from tmssl.config import Config, changed, to_dict, write_config
from tmssl.runs.events import Segment, Step
from tmssl.runs.folder import Run, create_run, hold_lock
from tmssl.runs.journal import JournalWriter
from tui.app import WatchApp
from tui.charts.chart_panel import ChartPanel
from tui.charts.chart_widget import ChartWidget
from tui.live.overlay import OverlayDialog
from tui.widgets.choices import Choices


def write(folder: Path, name: str, count: int = 400) -> Run:
    """A run of steps, its second half resumed."""
    run = create_run(folder, name)
    config = changed(Config(), {"epochs": 60, "lr": 0.1})
    write_config(config, run.config)
    journal = JournalWriter(run.journal)
    history = history_of(count, resumed_at=count // 2)
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


def charts(app: WatchApp) -> ChartPanel:
    return app.screen.query_one(ChartPanel)


async def drawn(pilot: Pilot[None]) -> None:
    """Wait until the charts show what was asked for."""

    def is_drawn() -> bool:
        panel = pilot.app.screen.query_one(ChartPanel)
        return panel.curves is not None and not panel.is_rendering

    await pilot.pause()
    await until(pilot, is_drawn)
    await until_still(pilot)


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
        view = app.screen.query_one("#loss", ChartWidget)
        assert view.rendered is not None
        assert view.rendered.plot is not None
        middle = view.rendered.plot.left + view.rendered.plot.columns // 2
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
        assert charts(app).enlarged == "lr"


def events_up() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_one_chart_takes_the_whole_screen_and_gives_it_back(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await drawn(pilot)
        await press(pilot, "tab", "z")
        visible = [view.id for view in app.screen.query(ChartWidget) if view.size.height]
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
        await until_screen(pilot, OverlayDialog)
        assert "\x1b" not in str(app.screen.query_one(Choices).options[0].prompt)
        await pilot.press("space", "enter")
        await until(pilot, lambda: "A first" in shown(app, "loss").splitlines()[0])
        head = shown(app, "loss").splitlines()[0]
        assert "B second␛[2J" in head
        await pilot.press("a")
        await until_screen(pilot, OverlayDialog)
        await pilot.press("space", "enter")
        await until(pilot, lambda: "smoothed" in shown(app, "loss").splitlines()[0])


async def test_all_that_matters_stands_in_80x24_at_once(run: Run) -> None:
    app = WatchApp(run)
    with hold_lock(run):
        async with app.run_test(size=(80, 24)) as pilot:
            await drawn(pilot)
            screen = screen_text(app)
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
        with counted(app) as sent:
            await pilot.pause(1.5)  # not a wait: in this time nothing may be sent
            assert sent == []
            journal = JournalWriter(run.journal)
            journal.write(Step(step=401, epoch=40.1, loss=2.0, t=9e9))
            journal.close()
            await until(pilot, lambda: sent)


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
            await until(pilot, lambda: "running" in shown(app, "head"))
        await until(pilot, lambda: "dead" in shown(app, "head"))


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
                rows = len(shown(app, "loss").splitlines())
                assert (
                    rows == app.screen.query_one("#loss").size.height + 1
                )  # its head is in the frame
