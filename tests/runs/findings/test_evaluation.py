import math
import random

import msgspec
import pytest

from tests.helpers.scores import division_hit
from tmssl.runs.events import Eval, Score
from tmssl.runs.findings.evaluation import evaluation_findings


def hits(value: float, chance: float, queries: int, k: int = 100) -> Eval:
    score = Score(metric="hit", level="division", k=k, value=value, chance=chance, queries=queries)
    return Eval(epoch=24, step=9, scores=[score], queries=queries)


def codes(event: Eval) -> list[str]:
    return [finding.code for finding in evaluation_findings(event)]


def test_no_hit_in_ten_queries_at_a_chance_of_094_is_a_broken_join() -> None:
    (finding,) = evaluation_findings(hits(0.0, 0.94, 10), {"marks": 538_771, "with_codes": 12})
    assert finding.code == "below-chance"
    assert "labels and images are probably joined wrongly" in finding.text
    assert "12 of 538,771 marks have codes" in finding.text
    assert finding.epoch == 24


@pytest.mark.parametrize(
    ("value", "chance", "queries"),
    [(0.9, 0.94, 10), (0.0, 0.3, 10), (0.5, 0.44, 300), (0.42, 0.44, 300)],
)
def test_what_chance_may_do_is_no_finding(value: float, chance: float, queries: int) -> None:
    assert codes(hits(value, chance, queries)) == []


def test_the_tail_is_the_binomials_by_simulation() -> None:
    dice, chance, queries = random.Random(0), 0.5, 20
    draws = [sum(dice.random() < chance for _ in range(queries)) for _ in range(200_000)]
    for few in range(queries):
        share = sum(drawn <= few for drawn in draws) / len(draws)
        if not math.isclose(share, 1e-4, abs_tol=5e-5):
            assert (codes(hits(few / queries, chance, queries)) != []) == (share < 1e-4)


def test_an_untrained_encoder_within_the_interval_is_told() -> None:
    def event(untrained: float, of_groups: float = 0.5) -> Eval:
        divisions = division_hit(
            0.5, 0.4, {"untrained": untrained}, low=0.45, high=0.55, queries=300
        )
        groups = msgspec.structs.replace(
            divisions,
            metric="group_recall",
            level="group",
            codes="all",
            references={"untrained": of_groups},
        )
        return Eval(scores=[divisions, groups])

    assert codes(event(0.46)) == ["no-better-than-untrained"]
    assert codes(event(0.60)) == ["no-better-than-untrained"]
    assert codes(event(0.44)) == []
    assert codes(event(0.46, of_groups=0.1)) == []  # groups show what divisions hide


def test_an_evaluation_without_labels_has_no_finding() -> None:
    assert (
        codes(Eval(scores=[Score(metric="invariance", level="copy", k=1, value=0.0, chance=0.01)]))
        == []
    )
