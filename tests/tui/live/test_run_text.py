import pytest
from rich.text import Span as RichSpan

from tests.helpers.histories import short_history
from tests.helpers.scores import division_hit, group_recall
from tmssl.runs.events import Epoch, Eval, Finding
from tmssl.runs.history import History
from tui.charts.chart import evaluation_chart
from tui.charts.epoch_table import epoch_table
from tui.live.run_text import (
    evaluation_spans,
    learning_spans,
    machine_spans,
    newest_finding_lines,
    plain_text,
    progress_spans,
    state_text,
)
from tui.live.styled_text import run_lines
from tui.options import PLAIN, DisplayOptions


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


def test_words_for_a_run_that_has_not_written() -> None:
    empty = History()
    assert "waiting" in state_text(empty, alive=True)
    assert plain_text(progress_spans(empty, alive=True, width=80)) == "no segment yet"
    assert (learning_spans(empty), machine_spans(empty)) == ((), ())
    assert "press e" in plain_text(evaluation_spans(empty))
    assert newest_finding_lines(empty)[0] == "nothing to report"
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


def test_hostile_findings_are_made_safe() -> None:
    history = short_history()
    history.add([Finding(code="x", text="\x1b]52;c;evil\x07", advice="\x9b2J\u202e")])
    assert not any(
        ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for line in newest_finding_lines(history) for c in line
    )


def test_figures_stand_out_and_asides_step_back() -> None:
    lines = run_lines(short_history(), True, 80, DisplayOptions(dark=True))
    learning = lines["learning"]
    bold = [learning.plain[s.start : s.end] for s in learning.spans if s.style == "bold"]
    assert bold == ["4.000", "~4.222", "6.800", "6.930", "60.0 %", "0.90"]
    aside = learning.plain.index("(chance 5.550)")
    assert RichSpan(aside, aside + 14, "#828d99") in learning.spans
    assert lines["progress"].plain[16:].lstrip("━─").startswith(" 60 %")


def test_a_bar_has_as_many_cells_in_ascii() -> None:
    history = short_history()
    for width in (60, 80, 200):
        ascii_line = plain_text(progress_spans(history, True, width))
        line = plain_text(progress_spans(history, True, width, ascii_bar=False))
        assert len(line) == len(ascii_line)
        assert line.count("━") / (line.count("━") + line.count("─")) == pytest.approx(0.6, abs=0.05)
