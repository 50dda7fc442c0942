"""Calling a person, and what order queries are shown in."""

import pytest

from tmssl.retrieval.evaluation.matches import Match, QueryMatches
from tmssl.runs.events import Finding
from tui.matches.query_list import average_precision, filter_queries
from tui.terminal.notify import notifications, osc9, supports_osc9


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({}, False),
        ({"TERM_PROGRAM": "iTerm.app"}, True),
        ({"KITTY_WINDOW_ID": "1"}, True),
        ({"KITTY_WINDOW_ID": "1", "TMUX": "x"}, False),
        ({"TERM_PROGRAM": "Apple_Terminal"}, False),
    ],
)
def test_notes_go_to_terminals_that_show_them(environment: dict[str, str], shown: bool) -> None:
    assert supports_osc9(environment) is shown


def test_a_person_is_called_at_an_end_and_for_what_is_bad() -> None:
    bad = Finding(code="x", level="bad", text="loss is\x1b]0;x\x07 NaN")
    good = Finding(code="y", level="good", text="fine")
    assert notifications("r", "running", "running", [good]) == []
    assert notifications("r", "running", "dead", [bad]) == [f"r: {bad.text}", "r is dead"]
    assert notifications("r", "stopped", "running", []) == []
    assert osc9(bad.text).count("\x1b") == 1


def query(name: str, *hits: bool, similarity: float = 0.5) -> QueryMatches:
    matches = [Match(rank=i, hit=hit, similarity=similarity) for i, hit in enumerate(hits, 1)]
    return QueryMatches(id=name, vienna=["01.01"], matches=matches)


def test_queries_come_best_first_worst_first_or_shuffled() -> None:
    queries = (
        query("half", False, True),
        query("sure miss", False, similarity=0.9),
        query("hit", True),
        query("miss", False),
        query("none"),
    )
    assert average_precision(queries[0]) == 0.5
    names = {
        which: [q.id for q in filter_queries(queries, which, "")]
        for which in ("misses", "best", "worst", "random")
    }
    assert names["misses"] == ["sure miss", "miss", "none"]
    assert names["best"][:2] == ["hit", "half"]
    assert names["worst"][:3] == ["sure miss", "miss", "none"]
    assert sorted(names["random"]) == sorted(q.id for q in queries)
    assert [q.id for q in filter_queries(queries, "worst", "MISS")] == ["sure miss", "miss"]
