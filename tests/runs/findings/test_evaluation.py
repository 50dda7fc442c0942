import math
import random

import msgspec
import pytest

from tests.helpers.scores import division_hit, group_recall
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


def judged(value: float, before: float, *, of_groups: float = 0.7) -> Eval:
    groups = group_recall(
        value, 0.01, {"before training": before}, low=value - 0.04, high=value + 0.04
    )
    divisions = division_hit(of_groups, 0.4, {"before training": 0.7}, low=0.6, high=0.8)
    return Eval(step=240, epoch=40.0, scores=[divisions, groups])


def test_training_that_made_the_encoder_worse_is_told_with_both_figures() -> None:
    (finding,) = evaluation_findings(judged(0.560, 0.628))
    assert (finding.code, finding.level, finding.step) == ("worse-than-before", "bad", 240)
    assert "group recall@10 is 0.560 and was 0.628 before training" in finding.text
    assert "earlier checkpoint" in finding.advice
    assert "fewer epochs or a lower --lr" in finding.advice


def test_a_gain_a_small_loss_or_one_beside_a_gain_is_no_finding() -> None:
    assert codes(judged(0.691, 0.674)) == []
    assert codes(judged(0.66, 0.674)) == []  # within half of the interval
    assert codes(judged(0.60, 0.674, of_groups=0.72)) == []  # divisions gained
    assert codes(judged(0.60, 0.674, of_groups=0.69)) == ["worse-than-before"]


def test_a_list_of_another_length_is_judged_too() -> None:
    event = judged(0.5, 0.6)
    shorter = [msgspec.structs.replace(score, k=5) for score in event.scores]
    assert codes(msgspec.structs.replace(event, scores=shorter)) == ["worse-than-before"]


def test_a_hash_that_finds_more_is_told_beside_what_else_is_found() -> None:
    def event(hashed: float, value: float = 0.31) -> Eval:
        references: dict[str, float | None] = {"perceptual hash": hashed, "untrained": 0.05}
        return Eval(scores=[group_recall(value, 0.003, references)])

    assert codes(event(0.43)) == ["hash-finds-more"]
    assert codes(event(0.30)) == []
    (finding,) = evaluation_findings(event(0.43))
    assert "group recall@10 is 0.430 by the hash and 0.310 by the encoder" in finding.text
