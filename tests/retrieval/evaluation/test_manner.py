"""Evaluations of several manners, and of marks without labels, told for what they are."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.scores import division_hit
from tmssl.retrieval.evaluation import scoring
from tmssl.retrieval.evaluation.matches import Match, QueryMatches, first_hit, shared_codes, verdict
from tmssl.retrieval.evaluation.robustness import _rank
from tmssl.retrieval.evaluation.scoring import GalleryLabels, Ranking, measure
from tmssl.retrieval.index.faiss_index import build_index, save_index
from tmssl.retrieval.search.filters import parse_condition
from tmssl.runs.eval_event import comparable, manner
from tmssl.runs.events import Eval, Score
from tmssl.runs.findings.evaluation import evaluation_findings
from tmssl.runs.history import History
from tmssl.runs.main_figure import best_score, short_name
from tmssl.runs.report import report
from tmssl.text import spreadsheet_cell
from tui.charts.chart import evaluation_chart
from tui.live.run_text import evaluation_spans, plain_text
from tui.matches.query_list import filter_queries, outcome_sign


def evaluated(epoch: float, value: float, queries: int = 900, **manners: object) -> Eval:
    score = Score(
        metric="invariance",
        level="copy",
        k=1,
        value=value,
        chance=1 / queries,
        low=value,
        high=value,
        queries=queries,
        references={"untrained": value},
    )
    return Eval(epoch=epoch, queries=queries, scores=[score], **manners)  # type: ignore[arg-type]  # any of its fields


def test_the_best_is_of_plain_evaluations_with_as_many_queries() -> None:
    events = [
        evaluated(2, 0.09),
        evaluated(2, 0.18, 100),
        evaluated(4, 0.1),
        evaluated(4, 0.3, whitened=64),
        evaluated(4, 0.4, index="IVF4,Flat"),
        evaluated(4, 0.5, without_duplicates=True),
    ]
    assert [event.epoch for event in comparable(events, "invariance")] == [2, 4]
    best = best_score(events)
    assert best is not None
    assert (short_name(best), best.value) == ("invariance@1", 0.1)
    assert [e.scores[0].value for e in comparable(events[3:], "map")] == [0.5]
    assert [e.queries for e in comparable(events[:3], "hit")] == [900, 100, 900]
    assert comparable([], "invariance") == []


def test_a_manner_is_named_wherever_its_figures_are() -> None:
    event = evaluated(2, 0.3, whitened=64, without_duplicates=True, index="Flat\x1b")
    assert manner(event) == "whitened to 64 features, by index Flat\x1b, without near-duplicates"
    assert manner(evaluated(2, 0.3)) == ""
    history = History()
    history.add([event])
    assert "epoch 2, whitened to 64 features" in plain_text(evaluation_spans(history))
    assert "\x1b" not in plain_text(evaluation_spans(history))
    text = report(history, "r", alive=False, charts={}, pictures={})
    assert "### Epoch 2 (900 queries, whitened to 64 features" in text
    hit = division_hit(0.3, 0.2, {"untrained": 0.4}, low=0.1, high=0.5, queries=30)
    told = evaluation_findings(Eval(whitened=64, scores=[hit]))
    assert told[0].text.startswith("whitened to 64 features: hit@10 is 0.3")


def test_without_labels_the_curve_is_of_copies() -> None:
    history = History()
    history.add([evaluated(2, 0.1), evaluated(4, 0.2), evaluated(4, 0.9, whitened=64)])
    chart = evaluation_chart(history)
    assert chart.title == "invariance@1"
    assert list(chart.series[-1].y) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("query", "word", "first", "codes"),
    [
        (QueryMatches(path="a"), "unlabelled", "no code to judge by", []),
        (QueryMatches(path="a", vienna=["26.01"]), "miss", "no hit found", ["no shared code"]),
        (QueryMatches(path="a", group="g"), "miss", "no hit found", ["no shared code"]),
    ],
)
def test_a_mark_without_labels_has_no_misses(
    query: QueryMatches, word: str, first: str, codes: list[str]
) -> None:
    assert verdict(Match(), query) == word
    assert verdict(Match(duplicate=True), query) == "duplicate"
    assert first_hit(query) == first
    assert shared_codes(Match(), query) == codes
    assert outcome_sign(query)[0] == ("." if word == "unlabelled" else "-")
    assert filter_queries((query,), "misses", "") == (() if word == "unlabelled" else (query,))


def test_shared_codes_have_their_titles() -> None:
    found = shared_codes(Match(shared=["01.01"]), QueryMatches(vienna=["01.01"]))
    assert found[0].startswith("01.01 ")
    assert len(found[0]) > len("01.01 ")


def test_an_evaluation_of_another_runs_checkpoint_is_not_this_runs_best() -> None:
    own, other = evaluated(2, 0.1), evaluated(3, 0.9, checkpoint="/runs/other/checkpoints/best.pt")
    best = best_score([own, other])
    assert best is not None
    assert best.value == 0.1


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("=1+1", "'=1+1"),
        ("@x", "'@x"),
        ("-3.5", "-3.5"),
        ("+a", "'+a"),
        ("a=b", "a=b"),
        ("-", "'-"),
    ],
)
def test_a_cell_of_a_table_is_no_formula(cell: str, told: str) -> None:
    assert spreadsheet_cell(cell) == told
    assert "\x1b" not in spreadsheet_cell("\x1b[31m")


def test_long_numbers_are_told_apart_by_their_last_digit() -> None:
    condition = parse_condition("id=018765432109876543")
    assert condition.matches("018765432109876543")
    assert not condition.matches("018765432109876544")


@pytest.mark.parametrize("at_once", [1, 3, 64])
def test_figures_do_not_hang_on_how_many_queries_are_scored_at_once(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    codes = [("01.01",), ("02.01", "26.01"), (), ("01.01", "03.01"), ("26.01",)]
    marks = GalleryLabels([codes[i] for i in generator.integers(0, 5, 40)], [""] * 40)
    queries = np.arange(0, 40, 3)
    top = np.stack([generator.permutation(np.delete(np.arange(40), q))[:10] for q in queries])
    away = [np.array([(q + 1) % 40]) for q in queries]
    ranking = Ranking(top, [np.empty(0, np.int64)] * len(queries))
    whole = measure(marks, queries, ranking, [5, 10], away)
    monkeypatch.setattr(scoring, "_QUERIES_AT_ONCE", at_once)
    parts = measure(marks, queries, ranking, [5, 10], away)
    assert list(parts) == list(whole)
    for key, (values, chance) in whole.items():
        assert np.array_equal(parts[key][0], values)
        assert np.array_equal(parts[key][1], chance)


def test_a_changed_query_is_ranked_without_what_is_left_out() -> None:
    listed = np.array([4, 7, 9, 2, 1])
    assert _rank(listed, 2, np.array([4, 9]), 5) == 1
    assert _rank(listed, 2, np.empty(0, np.int64), 5) == 3
    assert _rank(listed, 2, np.empty(0, np.int64), 2) == 2
    assert _rank(listed, 8, np.empty(0, np.int64), 5) == 5


def test_an_index_takes_along_the_cards_that_name_it_and_no_others(tmp_path: Path) -> None:
    unit = np.eye(4, dtype=np.float32)
    for name in ("a-p", "b-p"):
        save_index(build_index(unit), tmp_path / f"{name}.faiss")
        (tmp_path / f"{name}-1.card.json").write_text(f'{{"index": "{name}.faiss"}}')
    (tmp_path / "odd.card.json").write_text("[]")
    save_index(build_index(unit), tmp_path / "b-p.faiss")
    assert sorted(p.name for p in tmp_path.glob("*.card.json")) == [
        "a-p-1.card.json",
        "odd.card.json",
    ]
