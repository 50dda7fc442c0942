"""Scores become text in one place, and every view shows that text."""

from tests.helpers.scores import division_hit
from tmssl.retrieval.evaluation.table import table_lines
from tmssl.retrieval.html import scores_table
from tmssl.runs.eval_table import COLUMNS, eval_row, eval_rows
from tmssl.runs.events import Eval, Score
from tmssl.runs.history import History
from tmssl.runs.report import report
from tui.matches.evaluations import Evaluation, head_lines

HIT = division_hit(0.61234, 0.41, {"untrained": 0.48}, low=0.5, high=0.7, queries=30)


def test_a_score_is_a_row_of_cells_that_sort_by_number() -> None:
    row = eval_row(HIT, ["untrained", "HOG"])
    assert [cell.text for cell in row.cells] == [
        *("hit@10", "division", "figurative", "0.612", "0.410", "1.49", "0.500 to 0.700"),
        *("0.480", "-"),
    ]
    assert [cell.sort for cell in row.cells[3:]] == [0.61234, 0.41, 0.61234 / 0.41, 0.5, 0.48, -1]
    assert len(row.cells) == len(COLUMNS) + 2


def test_lower_is_better_for_nar_and_chance_may_be_nothing() -> None:
    nar = Score(metric="group_nar", level="group", value=0.1, chance=0.5)
    assert [cell.text for cell in eval_row(nar).cells] == [
        *("nar", "group", "all", "0.100", "0.500", "-", "-")
    ]
    assert eval_row(Score(metric="hit", k=1, value=0.5, chance=0.0)).lift.text == "-"


def test_names_from_a_journal_are_safe_to_show() -> None:
    row = eval_row(Score(metric="a\x1b[2J", level="b\x1b", codes="c\u202e"))
    assert not {"\x1b", "\u202e"} & set("".join(cell.text for cell in row.cells))


def test_rows_have_the_references_of_all_scores() -> None:
    rows = eval_rows([Score(metric="stability", k=10), HIT])
    assert [list(row.references) for row in rows] == [["untrained"]] * 2
    assert rows[0].references["untrained"].text == "-"


def test_four_views_show_the_same_text() -> None:
    event = Eval(epoch=3, queries=30, gallery=100, scores=[HIT])
    history = History()
    history.add([event])
    evaluation = Evaluation("epoch-0003", None, event)  # type: ignore[arg-type]  # no file is read
    views = {
        "terminal": "\n".join(table_lines(event)),
        "report": report(history, "r", alive=False),
        "page": "\n".join("|".join(c.lines[0] for c in row) for row in scores_table([HIT]).rows),
        "monitor": "\n".join(line.plain for line in head_lines((evaluation,), 0, 200, 50)),
    }
    cells = eval_row(HIT, ["untrained"]).cells
    for name, text in views.items():
        for cell in cells[3:]:
            assert cell.text in text, (name, cell)
