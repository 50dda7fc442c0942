from pathlib import Path

import pytest
from rich.text import Span as RichSpan

from tests.helpers.histories import short_history
from tests.helpers.scores import division_hit, group_recall
from tmssl.runs.events import Axes, Epoch, Eval, Finding, Views
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tui.charts.chart import evaluation_chart
from tui.charts.epoch_table import epoch_table
from tui.live.run_text import (
    evaluation_spans,
    learning_spans,
    machine_spans,
    plain_text,
    progress_spans,
    smoothed_loss,
    state_text,
    worst_finding_lines,
)
from tui.live.styled_text import run_lines
from tui.options import PLAIN, DisplayOptions
from tui.theme import COLOURS


def test_words_for_a_run_in_progress() -> None:
    history = short_history(60)
    assert state_text(history, alive=True) == "> running"
    assert "dead" in state_text(history, alive=False)
    text = plain_text(progress_spans(history, alive=True, width=80))
    assert text.startswith("epoch 6.00/10 [")
    assert "end in 40s" in text
    assert len(text) <= 80
    learning, machine = plain_text(learning_spans(history)), plain_text(machine_spans(history))
    assert "chance 5.550" in learning
    assert "data wait 1.0 %" in machine


def test_a_run_that_computes_views_says_how_long_still() -> None:
    history = short_history(0)
    history.add([Views(done=300, total=1000, found=100, seconds=2.0, seconds_left=7.0)])
    text = plain_text(progress_spans(history, alive=True, width=80))
    assert text == "computing views 300/1,000 (30 %), 100/s, ETA 7s"
    assert "views" in plain_text(progress_spans(history, alive=False, width=80))


def test_a_run_that_fits_its_whitening_says_how_long_still() -> None:
    history = History()
    history.add([Axes(done=512, total=4096, seconds=4.0, seconds_left=28.0)])
    text = plain_text(progress_spans(history, alive=True, width=80))
    assert text == "fitting the whitening 512/4,096 (12 %), 128/s, ETA 28s"


def test_words_for_a_run_that_has_not_written() -> None:
    empty = History()
    assert "waiting" in state_text(empty, alive=True)
    assert plain_text(progress_spans(empty, alive=True, width=80)) == "no segment yet"
    assert (learning_spans(empty), machine_spans(empty)) == ((), ())
    assert "press e" in plain_text(evaluation_spans(empty))
    assert worst_finding_lines(empty)[0] == "nothing to report"
    assert epoch_table(empty, 5, PLAIN).plain.startswith("epoch")


def test_the_last_evaluation_keeps_its_chance_in_a_narrow_window() -> None:
    history = short_history()
    hit = division_hit(0.62, 0.41, {"untrained": 0.48})
    scores = [hit, group_recall(0.3, 0.003, {"untrained": 0.1})]
    history.add([Eval(epoch=6, scores=scores), Epoch(epoch=6, step=60, loss=4.0)])
    assert "untrained 0.48" in plain_text(evaluation_spans(history, 200))
    narrow = plain_text(evaluation_spans(history, 80))
    assert len(narrow) <= 80
    assert "chance 0.41" in narrow
    assert len(evaluation_chart(history).series) == 2


def test_the_line_to_beat_is_what_the_run_began_with() -> None:
    history = short_history()
    references: dict[str, float | None] = {"untrained": 0.06, "before training": 0.674}
    history.add([Eval(epoch=6, scores=[group_recall(0.691, 0.003, references)])])
    told = plain_text(evaluation_spans(history, 200))
    assert "before training 0.67" in told
    assert "untrained" not in told
    chance, before, value = evaluation_chart(history).series
    assert (before.name, list(before.y), before.dotted) == ("before training", [0.674] * 2, True)
    assert (list(chance.y), list(value.y)) == ([0.003] * 2, [0.691])


def test_hostile_findings_are_made_safe() -> None:
    history = short_history()
    history.add([Finding(code="x", text="\x1b]52;c;evil\x07", advice="\x9b2J\u202e")])
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for line in worst_finding_lines(history) for c in line
    )


def test_the_worst_finding_comes_first_and_the_others_are_counted() -> None:
    history = short_history()
    history.add(
        [
            Finding(code="journal-held", level="warning", text="late", advice="make room", step=50),
            Finding(code="best", level="good", text="best so far", step=60, epoch=6.0),
        ]
    )
    finding, advice, level = worst_finding_lines(history)
    assert (finding, level) == ("! epoch 0: late  (and 1 note: f)", "warning")
    assert advice.endswith("make room")


def test_an_imported_log_is_counted_as_it_counts_itself() -> None:
    log = Path(__file__).parents[3] / "runs" / "training-log" / "metrics.jsonl"
    history = read_history(read_journal(log))
    progress = plain_text(progress_spans(history, alive=False, width=80))
    assert progress.startswith("epoch 24/50 [")
    assert "50 %" in progress
    assert plain_text(evaluation_spans(history)).startswith("epoch 24: ")
    told = smoothed_loss(history)
    assert told is not None
    assert abs(told - 4.79) < 0.2


def test_figures_stand_out_and_asides_step_back() -> None:
    lines = run_lines(short_history(), True, 80, DisplayOptions(dark=True))
    learning = lines["learning"]
    bold = [learning.plain[s.start : s.end] for s in learning.spans if s.style == "bold"]
    assert bold == ["4.000", "~4.222", "6.800", "6.930", "60.0 %", "0.90"]
    aside = learning.plain.index("(chance 5.550)")
    assert RichSpan(aside, aside + 14, COLOURS["quiet"][0]) in learning.spans
    assert lines["progress"].plain[16:].lstrip("━─").startswith(" 60 %")


def test_a_bar_has_as_many_cells_in_ascii() -> None:
    history = short_history()
    for width in (60, 80, 200):
        ascii_line = plain_text(progress_spans(history, True, width))
        line = plain_text(progress_spans(history, True, width, ascii_bar=False))
        assert len(line) == len(ascii_line)
        assert line.count("━") / (line.count("━") + line.count("─")) == pytest.approx(0.6, abs=0.05)
