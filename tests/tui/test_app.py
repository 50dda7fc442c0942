import json
import time
from pathlib import Path
from typing import Any

import pytest
from textual.containers import ScrollableContainer
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, Static

from tests.helpers.marks import draw_marks
from tmssl.config import Config, changed, to_dict, write_config
from tmssl.data.pack.pack import build_pack
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.retrieval.evaluation.matches import Match, MatchesHeader, QueryMatches, write_matches
from tmssl.runs.events import Eval, Finding, Score, Segment, Started, Step
from tmssl.runs.folder import Run, create_run
from tmssl.runs.import_log import Meaning, read_plain_log
from tmssl.runs.journal import JournalWriter
from tui.app import WatchApp
from tui.charts.widget import ChartView
from tui.live.screen import LiveScreen
from tui.messages import StatusMessage
from tui.runs.dialogs import ResumeDialog
from tui.widgets.list import Choices
from tui.widgets.text_screen import PageScreen

SIZES = [(80, 24), (120, 40), (200, 60), (40, 10)]


def step(number: int) -> Step:
    return Step(
        step=number,
        epoch=number / 10,
        loss=5.5 - number / 40,
        ce=6.8,
        top1=number / 100,
        lr=0.1 - number / 1000,
        momentum=0.99,
        grad_norm=1.0,
        feature_std=0.9,
        img_s=100.0,
        data_s=0.01,
        step_s=1.0,
        mem_gib=2.0,
        t=1000.0 + number,
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with two segments, an evaluation with matches, and a finding."""
    run = create_run(tmp_path / "runs", "r")
    config = changed(Config(), {"epochs": 10, "lr": 0.1, "warmup_epochs": 0.0})
    write_config(config, run.config)
    journal = JournalWriter(run.journal)
    journal.write(Started(name="r", host="box", device="cpu, 2 cores"))
    about: dict[str, Any] = {"chance": 5.55, "solved": 1.65, "chance_ce": 6.93, "batch_size": 1024}
    for number, begin in ((0, 0), (1, 30)):
        journal.write(
            Segment(
                number=number,
                step=begin,
                epoch=begin / 10,
                reason="start" if not number else "resume",
                config=dict(to_dict(config)),
                changed={"train.epochs": [5, 10]} if number else {},
                steps_per_epoch=10,
                epochs=10,
                t=1000.0 + begin,
                **about,
            )
        )
        for i in range(begin + 1, begin + 31):
            journal.write(step(i))
    journal.write(
        Finding(code="at-chance", level="bad", text="loss is chance", advice="try sgd", step=9)
    )
    score = Score(
        metric="hit",
        level="division",
        codes="figurative",
        k=10,
        value=0.62,
        chance=0.41,
        references={"untrained": 0.48},
    )
    journal.write(Eval(epoch=6, scores=[score], queries=4, gallery=24))
    journal.close()
    catalogue = read_catalogue(draw_marks(tmp_path / "marks", 24))
    pack = build_pack(catalogue, tmp_path / "pack", 48)
    write_all_matches(run, pack.folder)
    return run


def write_all_matches(run: Run, pack: Path) -> None:
    queries = []
    for row in range(4):
        matches = [
            Match(
                row=other,
                rank=rank,
                similarity=1 - rank / 30,
                hit=row > 0 and rank == 2,
                same_group=row == 3 and rank == 1,
                shared=["03.01"] if rank == 2 else [],
                id=f"m{other}",
                path=f"{other}.png",
            )
            for rank, other in enumerate((r for r in range(12) if r != row), 1)
        ]
        title = "evil\x1b[2J[/]" if row == 2 else f"mark {row}"
        queries.append(
            QueryMatches(
                row=row,
                id=f"m{row}",
                title=title,
                vienna=["03.01"],
                first_hit=2 if row else 0,
                matches=matches,
            )
        )
    header = MatchesHeader(
        pack=str(pack), epoch=6, topk=[10], gallery=24, attribution="by OpenMoji"
    )
    write_matches(run.eval / "epoch-0006.matches.jsonl", header, queries)


def text_of(app: WatchApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Widget).render())


async def settle(pilot: Pilot[None], seconds: float = 0.4) -> None:
    """Let workers finish what was asked of them."""
    await pilot.pause(seconds)
    for _ in range(100):
        busy = [w for w in pilot.app.workers if w.group in ("charts", "page", "matches")]
        if all(w.is_finished for w in busy):
            break
        await pilot.pause(0.05)
    await pilot.pause(0.05)


@pytest.mark.parametrize("size", SIZES)
async def test_the_live_screen_says_what_matters_at_every_size(
    run: Run, size: tuple[int, int]
) -> None:
    app = WatchApp(run)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        if size == (40, 10):
            assert "too small" in text_of(app, "#small")
            return
        assert "dead" in text_of(app, "#head")
        assert "epoch 6.00/10" in text_of(app, "#progress")
        assert "chance 5.55" in text_of(app, "#learning")
        assert "division hit@10 0.62 (chance 0.41" in text_of(app, "#evaluation")
        assert "loss is chance" in text_of(app, "#finding")
        assert "try sgd" in text_of(app, "#advice")
        assert all(word in text_of(app, "#loss") for word in ("smoothed", "raw", "chance 5.5"))
        assert "planned" in text_of(app, "#lr")
        shown = {view.id for view in app.screen.query(ChartView) if view.size.height}
        assert ("top1" in shown, "grad" in shown) == (size[1] >= 32, size[1] >= 32)
        assert ("spread" in shown, "hits" in shown) == (size[0] >= 140, size[1] >= 46)


async def test_a_growing_journal_shows_and_a_cut_one_starts_over(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        journal = JournalWriter(run.journal)
        for i in range(61, 71):
            journal.write(step(i))
        await settle(pilot, 1.2)
        assert "epoch 7.00/10" in text_of(app, "#progress")
        run.journal.write_bytes(b'{"kind":"step","step":1,"loss":NaN}\n{"kind":"odd"}\n{"ki')
        await settle(pilot, 1.2)
        assert app.history.steps[0].loss is None
        assert len(app.history.steps) == 1
        journal.close()


async def test_a_journal_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r")
    write_config(Config(), run.config)
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "waiting" in text_of(app, "#head")
        await pilot.press("r")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)


@pytest.mark.parametrize(
    ("key", "word"),
    [("c", "train.epochs: 5 -> 10"), ("g", "no log"), ("question_mark", "Evaluate a checkpoint")],
)
async def test_pages_open_and_close(run: Run, key: str, word: str) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press(key)
        await pilot.pause(0.2)
        assert isinstance(app.screen, PageScreen)
        shown = " ".join(str(part.render()) for part in app.screen.query(Static))
        assert word in shown
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)


async def test_a_finding_leads_to_its_place_in_the_curves(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("f")
        await pilot.pause(0.2)
        assert "1 finding, newest first" in text_of(app, "#where")
        (line,) = [str(option.prompt) for option in app.screen.query_one(Choices).options]
        assert line.startswith("!! bad")
        about = text_of(app, "#about-finding")
        assert "try sgd" in about
        assert "at-chance, at step 9" in about
        journal = JournalWriter(run.journal)
        journal.write(Finding(code="new\x1b[2J", level="odd", text="\x1b]52;c;x\x07", step=40))
        journal.close()
        for _ in range(100):
            if "2 findings" in text_of(app, "#where"):
                break
            await pilot.pause(0.05)
        assert "at-chance" in text_of(app, "#about-finding")  # the cursor stays on its finding
        await pilot.press("up")
        await pilot.pause(0.1)
        shown = text_of(app, "#about-finding")
        assert "no advice" in shown
        assert not set(shown) & {"\x1b", "\x07"}
        await pilot.press("down", "enter")
        await pilot.pause(0.2)
        assert isinstance(app.screen, LiveScreen)
        assert "step 9, epoch 0.9: loss 5.275" in text_of(app, "#status")


async def test_a_page_is_filtered_and_a_log_followed(run: Run) -> None:
    run.log.write_text("".join(f"line {i}\n" for i in range(200)) + "evil \x1b[2J\n")
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("g")
        await pilot.pause(0.3)
        page = app.screen.query_one("#page", ScrollableContainer)
        assert page.scroll_offset.y == page.max_scroll_y > 0
        assert "\x1b" not in text_of(app, "#text")
        with run.log.open("a") as file:
            file.write("the newest line\n")
        for _ in range(100):
            if "newest" in text_of(app, "#text"):
                break
            await pilot.pause(0.05)
        assert text_of(app, "#text").endswith("the newest line")
        await pilot.press("slash", *"LINE 19", "enter")
        await pilot.pause(0.1)
        assert text_of(app, "#text").splitlines()[0] == "line 19"
        assert len(text_of(app, "#text").splitlines()) == 11
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert isinstance(app.screen, PageScreen)
        assert "line 5" in text_of(app, "#text")


async def test_the_configuration_marks_what_is_not_the_default(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("c")
        await pilot.pause(0.2)
        lines = text_of(app, "#text").splitlines()
        assert "* lr                   0.1  (default 0.2)" in lines
        assert any(line.startswith("  momentum ") for line in lines)


async def test_help_begins_with_the_keys_of_the_screen_and_opens_once(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("m")
        await pilot.pause(0.3)
        await pilot.press("question_mark", "question_mark")
        await pilot.pause(0.2)
        assert text_of(app, "#text").splitlines()[0] == "matches"
        await pilot.press("escape")
        await pilot.pause(0.1)
        assert not isinstance(app.screen, PageScreen)


async def test_curve_keys_change_smoothing_axis_and_scale(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("plus")
        await settle(pilot)
        assert "smoothing 0.95" in text_of(app, "#status")
        await pilot.press("l", "x", "x")
        await settle(pilot)
        assert "(log)" in text_of(app, "#loss")
        assert "axis: time" in text_of(app, "#status")


async def test_the_resume_dialog_plans_before_it_acts(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("r")
        await pilot.pause(0.3)
        assert isinstance(app.screen, ResumeDialog)
        field = app.screen.query_one("#epochs", Input)
        assert field.value == "20"
        assert "old LR" in text_of(app, "#plan")
        assert "new plan" in text_of(app, "#plan-chart")
        field.value = "6"
        await pilot.pause(0.2)
        assert "give --epochs above 6" in text_of(app, "#plan")
        field.value = "20"
        app.screen.query_one("#more", Input).value = "batch_size=8"
        await pilot.pause(0.2)
        assert "train.batch_size cannot change" in text_of(app, "#plan")
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(app.screen, ResumeDialog)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, LiveScreen)


async def test_evaluating_without_a_checkpoint_says_so(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await pilot.pause(0.2)
        assert "no checkpoint yet" in text_of(app, "#status")


async def test_any_checkpoint_is_evaluated_and_a_failure_says_why(run: Run) -> None:
    for name, step in (("last", 60), ("epoch-0003", 30)):
        facts = {"step": step, "steps_per_epoch": 10, "sha256": "x", "epoch": step / 10}
        (run.checkpoints / f"{name}.json").write_text(json.dumps(facts))
        (run.checkpoints / f"{name}.pt").write_bytes(b"damaged")
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("e")
        await pilot.pause(0.2)
        lines = [str(option.prompt) for option in app.screen.query_one(Choices).options]
        assert ["last" in lines[0], "epoch        6  step        60  evaluated" in lines[0]] == [
            True,
            True,
        ]
        assert "epoch-0003" in lines[1]
        await pilot.press("down", "enter")
        deadline = time.monotonic() + 50
        while "failed" not in text_of(app, "#status") and time.monotonic() < deadline:
            await pilot.pause(0.2)
        assert "damaged" in text_of(app, "#status")


async def test_stopping_nobody_says_so(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        await pilot.press("s")
        await pilot.pause(0.2)
        assert "nothing to stop" in text_of(app, "#status")
        await pilot.press("k")
        await pilot.pause(0.2)
        assert "no trainer is running" in text_of(app, "#status")


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
        await settle(pilot)
        for key in "rem":
            await pilot.press(key)
            await pilot.pause(0.2)
            assert isinstance(app.screen, LiveScreen)
            assert "imported from a log" in text_of(app, "#status")


async def test_words_that_are_too_long_for_their_line_are_shown_whole(run: Run) -> None:
    app = WatchApp(run)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settle(pilot)
        app.post_message(StatusMessage("not resumed: " + "why " * 30 + "the end", done=True))
        await pilot.pause(0.5)
        assert any("the end" in str(toast.render()) for toast in app.screen.query("Toast"))


async def test_a_hostile_name_of_a_run_never_reaches_the_terminal(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r\x1b]52;c;x\x07\u202e[b]")
    JournalWriter(run.journal).close()
    for size in ((80, 24), (40, 10)):
        app = WatchApp(run)
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.2)
            shown = text_of(app, "#head") + text_of(app, "#small")
            assert "52;c;x" in shown
            assert not set(shown) & {"\x1b", "\x07", "\u202e"}
