import json
from pathlib import Path

import pytest
from textual.containers import ScrollableContainer
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input

from tests.helpers.histories import step, two_segments
from tests.helpers.marks import draw_marks
from tests.helpers.pilot import until, until_screen, until_shows, until_still, until_text
from tests.helpers.retrieved import write_known_matches
from tests.helpers.scores import division_hit
from tmssl.config import Config, changed, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.events import Eval, Finding, Started
from tmssl.runs.folder import Run, create_run
from tmssl.runs.import_log import Meaning, read_plain_log
from tmssl.runs.journal import JournalWriter
from tui.app import WatchApp
from tui.charts.chart_widget import ChartWidget
from tui.live.screen import LiveScreen
from tui.matches.screen import MatchesScreen
from tui.messages import StatusMessage
from tui.runs.dialogs import EvaluateDialog, ResumeDialog
from tui.widgets.choices import Choices
from tui.widgets.text_screen import TextScreen

SIZES = [(80, 24), (120, 40), (200, 60), (40, 10)]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two segments, an evaluation with matches, and a finding."""
    run = create_run(tmp_path / "runs", "r")
    config = changed(Config(), {"epochs": 10, "lr": 0.1, "warmup_epochs": 0.0})
    write_config(config, run.config)
    journal = JournalWriter(run.journal)
    journal.write(Started(name="r", host="box", device="cpu, 2 cores"))
    for event in two_segments(config):
        journal.write(event)
    journal.write(
        # A code that no later event ends, unlike `at-chance`, which a falling loss ends.
        Finding(code="from-tests", level="bad", text="loss is chance", advice="try sgd", step=9)
    )
    score = division_hit(0.62, 0.41, {"untrained": 0.48})
    journal.write(Eval(epoch=6, scores=[score], queries=4, gallery=24))
    journal.close()
    catalogue = read_catalogue(draw_marks(tmp_path / "marks", 24))
    pack = build_pack(catalogue, tmp_path / "pack", 48)
    write_known_matches(run.eval / "epoch-0006.matches.jsonl", pack.folder, 6)
    return run


def text_of(app: WatchApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Widget).render())


async def loaded(pilot: Pilot[None]) -> None:
    """Wait until the journal of the fixture is read and its curves are drawn."""
    await until_text(pilot, "learning rate")
    await until_shows(pilot, "#progress", "epoch 6.00/10")
    await until_still(pilot)


@pytest.mark.parametrize("size", SIZES)
async def test_the_live_screen_says_what_matters_at_every_size(
    run: Run, size: tuple[int, int]
) -> None:
    app = WatchApp(run)
    async with app.run_test(size=size) as pilot:
        if size == (40, 10):
            await until_shows(pilot, "#small", "too small")
            return
        await loaded(pilot)
        assert "dead" in text_of(app, "#head")
        assert "chance 5.55" in text_of(app, "#learning")
        assert "division hit@10 0.62 (chance 0.41" in text_of(app, "#evaluation")
        assert "loss is chance" in text_of(app, "#finding")
        assert "try sgd" in text_of(app, "#advice")
        assert all(word in text_of(app, "#loss") for word in ("smoothed", "raw", "chance 5.5"))
        assert "planned" in text_of(app, "#lr")
        shown = {view.id for view in app.screen.query(ChartWidget) if view.size.height}
        assert ("top1" in shown, "grad" in shown) == (size[1] >= 32, size[1] >= 32)
        assert ("spread" in shown, "hits" in shown) == (size[0] >= 140, size[1] >= 46)


async def test_a_growing_journal_shows_and_a_cut_one_starts_over(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        journal = JournalWriter(run.journal)
        for i in range(61, 71):
            journal.write(step(i))
        await until_shows(pilot, "#progress", "epoch 7.00/10")
        run.journal.write_bytes(b'{"kind":"step","step":1,"loss":NaN}\n{"kind":"odd"}\n{"ki')
        await until(pilot, lambda: len(app.history.steps) == 1)
        assert app.history.steps[0].loss is None
        journal.close()


async def test_a_journal_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r")
    write_config(Config(), run.config)
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shows(pilot, "#head", "waiting")
        await pilot.press("r")
        await until_shows(pilot, "#status", "nothing to resume")
        assert isinstance(app.screen, LiveScreen)


@pytest.mark.parametrize(
    ("key", "word"),
    [("c", "train.epochs: 5 -> 10"), ("g", "no log"), ("question_mark", "Evaluate a checkpoint")],
)
async def test_pages_open_and_close(run: Run, key: str, word: str) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press(key)
        await until_screen(pilot, TextScreen)
        await until_shows(pilot, "#text", word)
        await pilot.press("escape")
        await until_screen(pilot, LiveScreen)


async def test_a_finding_leads_to_its_place_in_the_curves(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("f")
        await until_text(pilot, "1 finding, newest first")
        (line,) = [str(option.prompt) for option in app.screen.query_one(Choices).options]
        assert line.startswith(" !! bad")
        about = text_of(app, "#about-finding")
        assert "try sgd" in about
        assert "from-tests, at step 9" in about
        journal = JournalWriter(run.journal)
        journal.write(Finding(code="new\x1b[2J", level="odd", text="\x1b]52;c;x\x07", step=40))
        journal.close()
        await until_text(pilot, "2 findings")
        assert "from-tests" in text_of(app, "#about-finding")  # the cursor stays on its finding
        await pilot.press("up")
        shown = await until_shows(pilot, "#about-finding", "no advice")
        assert not set(shown) & {"\x1b", "\x07"}
        await pilot.press("down", "enter")
        await until_screen(pilot, LiveScreen)
        await until_shows(pilot, "#status", "step 9, epoch 0.9: loss 5.275")


async def test_a_page_is_filtered_and_a_log_followed(run: Run) -> None:
    run.log.write_text("".join(f"line {i}\n" for i in range(200)) + "evil \x1b[2J\n")
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("g")
        await until_screen(pilot, TextScreen)
        page = app.screen.query_one("#page", ScrollableContainer)
        await until(pilot, lambda: page.scroll_offset.y == page.max_scroll_y > 0)
        assert "\x1b" not in text_of(app, "#text")
        with run.log.open("a") as file:
            file.write("the newest line\n")
        assert (await until_shows(pilot, "#text", "newest")).endswith("the newest line")
        await pilot.press("slash", *"LINE 19", "enter")
        await until(pilot, lambda: len(text_of(app, "#text").splitlines()) == 11)
        assert text_of(app, "#text").splitlines()[0] == "line 19"
        await pilot.press("escape")
        await until_shows(pilot, "#text", "line 5")
        assert isinstance(app.screen, TextScreen)


async def test_the_configuration_marks_what_is_not_the_default(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("c")
        lines = (await until_shows(pilot, "#text", "[optim]")).splitlines()
        assert "* lr                   0.1  (default 0.0005)" in lines
        assert any(line.startswith("  momentum ") for line in lines)


async def test_help_begins_with_the_keys_of_the_screen_and_opens_once(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("m")
        await until_screen(pilot, MatchesScreen)
        await pilot.press("question_mark", "question_mark")
        shown = await until_shows(pilot, "#text", "Show this list of keys")
        assert shown.splitlines()[0] == "matches"
        await pilot.press("escape")
        await until_screen(pilot, MatchesScreen)


async def test_curve_keys_change_smoothing_axis_and_scale(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("plus")
        await until_shows(pilot, "#status", "smoothing 0.95")
        await pilot.press("l", "x", "x")
        await until_shows(pilot, "#loss", "(log)")
        await until_shows(pilot, "#status", "axis: time")


async def test_the_resume_dialog_plans_before_it_acts(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("r")
        await until_screen(pilot, ResumeDialog)
        field = app.screen.query_one("#epochs", Input)
        assert field.value == "20"
        await until_shows(pilot, "#plan", "old LR")
        await until_shows(pilot, "#plan-chart", "new plan")
        field.value = "6"
        await until_shows(pilot, "#plan", "give --epochs above 6")
        field.value = "20"
        app.screen.query_one("#more", Input).value = "batch_size=8"
        await until_shows(pilot, "#plan", "train.batch_size cannot change")
        await pilot.press("enter")
        await until_still(pilot)
        assert isinstance(app.screen, ResumeDialog)
        await pilot.press("f3")
        await until_shows(pilot, "#question", "A new run goes on from a checkpoint")
        await until_shows(pilot, "#plan", "no checkpoint to branch from")
        await pilot.press("escape")
        await until_screen(pilot, LiveScreen)


async def test_evaluating_without_a_checkpoint_says_so(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("e")
        await until_shows(pilot, "#status", "no checkpoint yet")


async def test_any_checkpoint_is_evaluated_and_a_failure_says_why(run: Run) -> None:
    for name, number in (("last", 60), ("epoch-0003", 30)):
        facts = {"step": number, "steps_per_epoch": 10, "sha256": "0" * 64, "epoch": number / 10}
        (run.checkpoints / f"{name}.json").write_text(json.dumps(facts))
        (run.checkpoints / f"{name}.pt").write_bytes(b"damaged")
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("e")
        await until_screen(pilot, EvaluateDialog)
        await until(pilot, lambda: app.screen.query_one(Choices).option_count)
        lines = [str(option.prompt) for option in app.screen.query_one(Choices).options]
        assert ["last" in lines[0], "epoch        6  step        60  evaluated" in lines[0]] == [
            True,
            True,
        ]
        assert "epoch-0003" in lines[1]
        await pilot.press("down", "enter")
        await until_screen(pilot, LiveScreen)
        await until_shows(pilot, "#status", "failed", "damaged")


async def test_stopping_nobody_says_so(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await loaded(pilot)
        await pilot.press("s")
        await until_shows(pilot, "#status", "nothing to stop")
        await pilot.press("k")
        await until_shows(pilot, "#status", "no trainer is running; the last checkpoint")


def test_the_journal_of_the_fixture_is_json(run: Run) -> None:
    assert all(json.loads(line) for line in run.journal.read_text().splitlines())


async def test_an_imported_log_says_what_it_has_not(tmp_path: Path) -> None:
    run = create_run(tmp_path, "log")
    journal = JournalWriter(run.journal)
    for event in read_plain_log("Epoch 1 complete. Avg Loss: 7.0\n", "log", Meaning()):
        journal.write(event)
    journal.close()
    app = WatchApp(run)
    async with app.run_test(size=(100, 24)) as pilot:
        await until(pilot, lambda: app.history.imported)
        for key in "rem":
            assert isinstance(app.screen, LiveScreen)
            app.screen.show_status("")
            await pilot.press(key)
            await until_shows(pilot, "#status", "imported from a log")
            assert isinstance(app.screen, LiveScreen)


async def test_words_that_are_too_long_for_their_line_are_shown_whole(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await loaded(pilot)
        app.post_message(StatusMessage("not resumed: " + "why " * 30 + "the end", done=True))
        await until_shows(pilot, "Toast", "the end")


async def test_a_hostile_name_of_a_run_never_reaches_the_terminal(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r\x1b]52;c;x\x07\u202e[b]")
    JournalWriter(run.journal).close()
    for size, selector in (((80, 24), "#head"), ((40, 10), "#small")):
        app = WatchApp(run)
        async with app.run_test(size=size) as pilot:
            shown = await until_shows(pilot, selector, "52;c;x")
            assert not set(shown) & {"\x1b", "\x07", "\u202e"}
