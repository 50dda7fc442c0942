"""The report tells the journal's story, and its text is never markup."""

import re
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cli.app import app
from cli.commands.report import page
from tmssl.errors import InputError, JournalError
from tmssl.runs.cost import seconds_spent
from tmssl.runs.events import Checkpoint, Epoch, Eval, Finding, Score, Segment, Started, Step
from tmssl.runs.folder import create_run
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.report import next_steps, plain, report

ROOT = Path(__file__).parents[2]
TRAINING_LOG = read_history(read_journal(ROOT / "runs/training-log/metrics.jsonl"))
SOURCE = (ROOT / "tests/runs/training-log-report.md").read_text("utf-8")


def test_the_training_log_is_reported_as_it_was_written() -> None:
    told = report(TRAINING_LOG, "training-log", alive=False)
    for heading in (
        "## Phase 1: Initial Weak Supervision (Epochs 0-10)",
        "## Phase 2: Switch to Instance Discrimination (SSL) (Epochs 10-20)",
        "(Epochs 20-50)",
    ):
        assert heading in told
    lines = re.findall(r"^Epoch \d+ complete\. Avg Loss: .*$", SOURCE, re.M)
    assert len(lines) == 10
    assert "\n".join(lines) in told
    for words in (
        "Loss plateaued around 7.0",
        "is chance",
        "rising from epoch 16 on",
        "broken out of the plateau: 7.216 before, 4.790 at epoch 24",
        "Continue training to epoch 50",
        "from 3.00e-04 at epoch 20 to 1.00e-06 at epoch 50",
        "| hit@100 | division | 0 | 0.940 | 0 |",
    ):
        assert words in told


def test_what_is_behind_is_no_next_step() -> None:
    told = "\n".join(next_steps(TRAINING_LOG, alive=False))
    assert "rising" not in told
    assert "tmssl train --resume" in told


def test_time_and_money_count_what_was_trained_not_the_pauses() -> None:
    history = read_history(
        [
            Segment(t=1000.0, steps_per_epoch=10, epochs=5),
            Step(step=10, t=4600.0),
            Segment(number=1, step=10, t=100_000.0, steps_per_epoch=10, epochs=5),
            Step(step=20, t=100_900.0),
            Checkpoint(step=20, t=101_800.0),
        ]
    )
    assert seconds_spent(history) == 3600 + 1800
    assert "0.75 spent at 0.5 an hour" in report(history, "r", alive=False, price_per_hour=0.5)


hostile = st.text(max_size=60) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "![x](http://a/b)",
        "a|b",
        "`c`",
        "**d**",
        "\x1b]52;c;x\x07",
        "[a](javascript:b)",
    ]
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        aligned = all(name == "style" and value == "text-align:right" for name, value in attrs)
        assert tag in ("html", "meta", "code") or aligned, (tag, attrs)


@settings(deadline=None, max_examples=60)
@given(hostile, hostile)
def test_foreign_text_is_never_markup(title: str, text: str) -> None:
    history = read_history(
        [
            Started(notes={title: text}, counts={"marks": 3}),
            Segment(title=title, epochs=2, changed={title: [text, text]}),
            Epoch(epoch=1, step=1, loss=1.0),
            Finding(code=title, text=text, advice=title, step=1),
            Eval(split=text, scores=[Score(metric=title, level=text, references={title: 1.0})]),
        ]
    )
    told = report(history, title, alive=False, matches=[plain(text)])
    parser = Tags()
    parser.feed(page(told, title, []))
    assert not parser.seen & {"script", "img", "a"}
    assert "\x1b" not in told


def test_the_command_writes_markdown_with_pictures_and_one_html_file(tmp_path: Path) -> None:
    run = create_run(tmp_path / "runs", "r")
    journal = JournalWriter(run.journal)
    journal.write(Segment(steps_per_epoch=10, epochs=3, chance=5.0, config={"optim": {"lr": 0.1}}))
    for step in range(1, 21):
        journal.write(Step(step=step, epoch=step / 10, loss=5 - step / 10, lr=0.1))
    journal.write(Epoch(epoch=2, step=20, loss=3.2))
    journal.close()
    runner, where = CliRunner(), ["--runs", str(tmp_path / "runs")]
    done = runner.invoke(app, ["report", *where])
    assert done.exit_code == 0, done.output
    told = run.report.read_text("utf-8")
    assert "Epoch 2 complete. Avg Loss: 3.2000" in told
    assert "\u28ff" in told or re.search("[\u2801-\u28ff]", told)
    for name in re.findall(r"!\[.*?\]\((.*?)\)", told):
        assert (run.path / name).read_bytes().startswith(b"\x89PNG")
    assert len(list(run.path.glob("report-*.png"))) == 2
    assert (
        runner.invoke(
            app, ["report", "--html", "--out", str(tmp_path / "r.html"), *where]
        ).exit_code
        == 0
    )
    page_text = (tmp_path / "r.html").read_text("utf-8")
    assert page_text.count("data:image/png;base64,") == 2
    assert not list(tmp_path.glob("*.png"))
    assert runner.invoke(app, ["report", "--out", "-", *where]).stdout.startswith("# Training Log")


def test_a_report_needs_a_journal_and_a_place(tmp_path: Path) -> None:
    runner = CliRunner()
    run = create_run(tmp_path / "runs", "r")
    run.config.write_text("")
    where = ["--runs", str(tmp_path / "runs")]
    assert isinstance(runner.invoke(app, ["report", *where]).exception, JournalError)
    JournalWriter(run.journal).close()
    out = str(tmp_path / "none" / "r.md")
    assert isinstance(runner.invoke(app, ["report", "--out", out, *where]).exception, InputError)
