import dataclasses
import itertools
import math
import random
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.data.vienna import at_level, is_figurative
from tmssl.retrieval.evaluation import chance
from tmssl.retrieval.evaluation.metrics import LIST_METRICS, normalised_average_rank
from tmssl.retrieval.evaluation.relevance import Relevance
from tmssl.retrieval.evaluation.scoring import (
    GalleryLabels,
    Ranking,
    interval,
    mean_values,
    measure,
    summarize,
)
from tmssl.runs.events import Score

CODES = ["01.01", "01.02.03", "02.01.01", "24.01", "26.01.01", "26.04", "27.05.01"]


def group_ranks(groups: Sequence[str], query: int, ranked: list[int]) -> np.ndarray:
    """Ranks of the query's group in its list."""
    group = groups[query]
    return np.array([r for r, row in enumerate(ranked, 1) if group and groups[row] == group], int)


def random_case(
    seed: int, count: int = 14
) -> tuple[GalleryLabels, np.ndarray, Ranking, dict[int, list[int]]]:
    """Labels, queries, a random ranking of everything, and the full lists."""
    dice = random.Random(seed)
    vienna = [tuple(sorted(dice.sample(CODES, dice.randrange(4)))) for _ in range(count)]
    groups = [dice.choice(["", "a", "b", "c"]) for _ in range(count)]
    queries = np.array(sorted(dice.sample(range(count), 5)))
    lists = {}
    for query in queries.tolist():
        others = [row for row in range(count) if row != query]
        dice.shuffle(others)
        lists[query] = others
    mates = [group_ranks(groups, q, lists[q]) for q in queries.tolist()]
    top = np.array([lists[q] for q in queries.tolist()])
    return GalleryLabels(vienna, groups), queries, Ranking(top, mates), lists


def score(
    marks: GalleryLabels,
    queries: np.ndarray,
    rankings: dict[str, Ranking],
    topk: list[int],
    *,
    excluded: list[np.ndarray] | None = None,
    resamples: int = 1000,
) -> list[Score]:
    """The scores of the first ranking, the others its references."""
    first, *others = (
        measure(marks, queries, ranking, topk, excluded) for ranking in rankings.values()
    )
    names = list(rankings)[1:]
    references = {name: mean_values(other) for name, other in zip(names, others, strict=True)}
    return summarize(first, references, resamples=resamples)


@dataclasses.dataclass(frozen=True)
class Case:
    """One query: its list, and the gain of every mark of it, 0 where it is not relevant."""

    ranked: list[int]
    gain: dict[int, float]

    def is_hit(self, rank: int) -> bool:
        return self.gain[self.ranked[rank - 1]] > 0

    def hits(self, k: int) -> int:
        return sum(map(self.is_hit, range(1, k + 1)))

    @property
    def relevant(self) -> int:
        return self.hits(len(self.ranked))


def slow_average_precision(case: Case, k: int) -> float:
    total = sum(case.hits(rank) / rank for rank in range(1, k + 1) if case.is_hit(rank))
    return total / min(k, case.relevant)


def slow_ndcg(case: Case, k: int) -> float:
    def dcg(gains: list[float]) -> float:
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains[:k], 1))

    gains = [case.gain[row] for row in case.ranked]
    return dcg(gains) / dcg(sorted(gains, reverse=True))


SLOW: dict[str, Callable[[Case, int], float]] = {
    "hit": lambda case, k: 1.0 if case.hits(k) else 0.0,
    "precision": lambda case, k: case.hits(k) / k,
    "recall": lambda case, k: case.hits(k) / case.relevant,
    "map": slow_average_precision,
    "ndcg": slow_ndcg,
}


def slow(
    labels: GalleryLabels,
    queries: np.ndarray,
    lists: dict[int, list[int]],
    metric: str,
    level: str,
    codes: str,
    k: int,
) -> float | None:
    """One score by its definition, for one query at a time."""
    cut = [
        {c for c in at_level(m, level) if codes == "all" or is_figurative(c)} for m in labels.vienna
    ]
    weight = {c: math.log(len(cut) / sum(c in m for m in cut)) for m in cut for c in m}

    def gain(a: int, b: int) -> float:
        if not cut[a] & cut[b]:
            return 0.0
        both = sum(max(weight[c], 1e-9) for c in cut[a] & cut[b])
        either = sum(weight[c] for c in cut[a]) + sum(weight[c] for c in cut[b]) - both
        return both / max(either, both)

    cases = [
        Case(lists[query], {row: gain(query, row) for row in lists[query]})
        for query in queries.tolist()
    ]
    values = [SLOW[metric](case, k) for case in cases if case.relevant]
    return sum(values) / len(values) if values else None


def test_every_metric_of_a_list_has_a_reference() -> None:
    assert SLOW.keys() == LIST_METRICS.keys()


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_every_figure_equals_its_definition(seed: int) -> None:
    marks, queries, ranking, lists = random_case(seed)
    told = {
        (s.metric, s.level, s.codes, s.k): s
        for s in score(marks, queries, {"this": ranking}, [1, 3, 13])
    }
    levels, code_sets = ("category", "division", "section"), ("all", "figurative")
    for metric, level, codes, k in itertools.product(SLOW, levels, code_sets, (1, 3, 13)):
        expected = slow(marks, queries, lists, metric, level, codes, k)
        found = told.get((metric, level, codes, k))
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert found.value == pytest.approx(expected)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_known_item_figures_equal_their_definitions(seed: int) -> None:
    marks, queries, ranking, lists = random_case(seed)
    told = {
        (s.metric, s.k): s.value
        for s in score(marks, queries, {"this": ranking}, [3])
        if s.level == "group"
    }
    recall, nar = [], []
    for query in queries.tolist():
        mates = [
            row
            for row in lists[query]
            if marks.groups[query] and marks.groups[row] == marks.groups[query]
        ]
        if not mates:
            continue
        recall.append(sum(row in mates for row in lists[query][:3]) / len(mates))
        ranked = [query, *lists[query]]  # METU: the query is the first of its own list
        ranks = [ranked.index(row) + 1 for row in [query, *mates]]
        n, total = len(ranks), len(ranked)
        nar.append((sum(ranks) - n * (n + 1) / 2) / (total * n))
    assert told.get(("group_recall", 3)) == (pytest.approx(np.mean(recall)) if recall else None)
    assert told.get(("group_nar", 0)) == (pytest.approx(np.mean(nar)) if nar else None)


@pytest.mark.slow
def test_chance_levels_equal_a_simulation() -> None:
    marks, queries, _, _ = random_case(4, count=20)
    dice = random.Random(0)
    totals: dict[tuple[str, str, str, int], list[float]] = {}
    expected: dict[tuple[str, str, str, int], float] = {}
    many = np.tile(queries, 25)  # 60 means of 25 rankings each
    for _ in range(60):
        top, mates = [], []
        for query in many.tolist():
            others = [row for row in range(20) if row != query]
            dice.shuffle(others)
            top.append(others)
            mates.append(group_ranks(marks.groups, query, top[-1]))
        ranking = Ranking(np.array(top), mates)
        for s in score(marks, many, {"this": ranking}, [3, 5], resamples=1):
            key = (s.metric, s.level, s.codes, s.k)
            totals.setdefault(key, []).append(s.value or 0.0)
            expected[key] = s.chance or 0.0
    groups = {"group_recall", "group_map", "group_metu_map", "group_nar"}
    assert {key[0] for key in totals} == {*SLOW, *groups}
    for key, values in totals.items():
        error = 5 * float(np.std(values)) / math.sqrt(len(values)) + 1e-9
        assert np.mean(values) == pytest.approx(expected[key], abs=error), key


def test_hit_chance_is_the_hypergeometric_tail() -> None:
    for relevant, gallery, k in itertools.product((0, 1, 5, 18, 20), (20,), (1, 3, 10, 20, 50)):
        inside = min(k, gallery)
        exact = 1 - math.comb(gallery - relevant, inside) / math.comb(gallery, inside)
        assert float(chance.hit_chance(relevant, gallery, k)) == pytest.approx(exact, abs=1e-9)
    assert float(chance.hit_chance(155_000, 538_770, 10)) == pytest.approx(
        1 - (1 - 0.2877) ** 10, abs=1e-3
    )


def test_references_stand_beside_the_figure() -> None:
    marks, queries, ranking, _ = random_case(1)
    reverse = Ranking(ranking.top[:, ::-1].copy(), ranking.group_ranks)
    told = score(marks, queries, {"this": ranking, "untrained": reverse}, [3])
    alone = {
        (s.metric, s.level, s.codes, s.k): s.value
        for s in score(marks, queries, {"x": reverse}, [3])
    }
    for s in told:
        assert s.references == {"untrained": pytest.approx(alone[s.metric, s.level, s.codes, s.k])}
        assert s.low is not None
        assert s.high is not None
        assert s.value is not None
        assert s.low <= s.value + 1e-9
        assert s.high >= s.value - 1e-9 or s.queries < 3


def test_a_perfect_and_a_useless_list() -> None:
    assert normalised_average_rank(np.array([1, 2, 3]), 99) == 0
    assert normalised_average_rank(np.array([98, 99]), 99) > 0.6
    codes = [("01.01",), ("01.01",), ("02.01",), ("02.01",)]
    for top, value in (([[1, 2, 3]], 1.0), ([[2, 3, 1]], 1 / 3)):
        ranking = Ranking(np.array(top), [np.empty(0, int)])
        told = score(GalleryLabels(codes, [""] * 4), np.array([0]), {"this": ranking}, [3])
        maps = [s.value for s in told if (s.metric, s.level) == ("map", "division")]
        assert maps == [pytest.approx(value)] * 2


def test_marks_without_codes_or_groups_have_no_figures() -> None:
    ranking = Ranking(np.array([[1, 2]]), [np.empty(0, int)])
    assert score(GalleryLabels([()] * 3, [""] * 3), np.array([0]), {"this": ranking}, [2]) == []
    # Codes that nobody else has, and coarser ones than the level, cannot be found either.
    lonely = GalleryLabels([("01.01",), ("02",), ("02",)], ["a", "b", "b"])
    assert score(lonely, np.array([0]), {"this": ranking}, [2]) == []
    told = score(lonely, np.array([1]), {"this": Ranking(np.array([[2, 0]]), [np.array([1])])}, [2])
    assert {s.level for s in told} == {"category", "group"}


def test_an_interval_drawn_in_parts_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = interval(values, 3)
    monkeypatch.setattr("tmssl.retrieval.evaluation.scoring._DRAWS_AT_ONCE", 50 * 7)
    assert interval(values, 3) == whole


@pytest.mark.slow
def test_half_a_million_marks_are_scored_in_seconds() -> None:
    dice = np.random.default_rng(0)
    count, wanted = 540_000, 200
    divisions = [f"{c:02d}.{d:02d}" for c in range(1, 30) for d in range(1, 6)]
    vienna = [
        tuple({divisions[i] for i in row}) for row in dice.integers(0, 145, (count, 3)).tolist()
    ]
    queries = np.sort(dice.choice(count, wanted, replace=False))
    ranking = Ranking(dice.integers(0, count, (wanted, 100)), [np.empty(0, int)] * wanted)
    begun = time.process_time()  # another process may keep the cores busy
    told = score(GalleryLabels(vienna, [""] * count), queries, {"this": ranking}, [10, 100])
    assert time.process_time() - begun < 80
    for s in told:  # a figure within 0 and 1 spreads no wider than a coin of the same mean
        assert s.chance is not None
        spread = math.sqrt(s.chance * (1 - s.chance) / s.queries)
        assert s.value == pytest.approx(s.chance, abs=5 * spread + 0.02)


def test_the_interval_covers_a_mean_it_should() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(60):
        low, high = interval((generator.random(150) < 0.3).astype(float), seed)
        covered += low <= 0.3 <= high
    assert covered >= 51  # 95 % of 60 is 57


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_the_macro_average_equals_its_definition(seed: int) -> None:
    marks, queries, ranking, lists = random_case(seed)
    cut = [at_level(codes, "division") for codes in marks.vienna]
    told = {s.k: s for s in score(marks, queries, {"this": ranking}, [1, 4]) if s.codes == "macro"}
    for k in (1, 4):
        by_division = []
        for code in sorted(set().union(*cut)):
            hits = [
                any(code in cut[row] for row in lists[query][:k])
                for query in queries.tolist()
                if code in cut[query] and sum(code in other for other in cut) > 1
            ]
            if hits:
                by_division.append(sum(hits) / len(hits))
        assert (k in told) == bool(by_division)
        if by_division:
            assert told[k].value == pytest.approx(sum(by_division) / len(by_division))
            assert told[k].queries == len(by_division)


def test_macro_counts_every_division_once() -> None:
    vienna = [("01.01",), ("01.01",), ("01.01",), ("02.01",), ("02.01",), ("26.01",)]
    marks, queries = GalleryLabels(vienna, [""] * 6), np.array([0, 1, 3])
    top = np.array([[1], [0], [5]])
    told = score(marks, queries, {"this": Ranking(top, [np.empty(0, int)] * 3)}, [1])
    macro = next(s for s in told if s.codes == "macro")
    assert macro.value == pytest.approx(0.5)
    plain = next(
        s for s in told if (s.metric, s.level, s.codes) == ("hit", "division", "figurative")
    )
    assert plain.value == pytest.approx(2 / 3)


def test_shared_codes_come_rare_before_frequent() -> None:
    relevance = Relevance(
        [("01.01", "26.01"), ("01.01", "26.01"), ("26.01",), ("26.01",)], "division"
    )
    assert relevance.shared(0, 1) == ["01.01", "26.01"]
    rows, gains = relevance.relevant(0)
    assert rows.tolist() == [1, 2, 3]
    assert gains[0] == 1
    assert 0 < gains[1] < 1e-6  # 26.01 is on every mark and says nothing


def without_one(
    marks: GalleryLabels, queries: np.ndarray, lists: dict[int, list[int]], dice: random.Random
) -> tuple[Ranking, list[np.ndarray], dict[int, list[int]]]:
    """The same case with one mark that each query does not search."""
    gone = [np.array([dice.choice(lists[query])]) for query in queries.tolist()]
    left = {
        query: [row for row in lists[query] if row not in away]
        for query, away in zip(queries.tolist(), gone, strict=True)
    }
    mates = [group_ranks(marks.groups, q, left[q]) for q in queries.tolist()]
    return Ranking(np.array([left[q] for q in queries.tolist()]), mates), gone, left


@pytest.mark.slow
def test_a_thousand_random_cases_equal_their_definitions() -> None:
    dice = random.Random(1)
    for seed in range(1000):
        marks, queries, ranking, lists = random_case(seed)
        gone = None
        if seed % 2:  # near-duplicates are left out
            ranking, gone, lists = without_one(marks, queries, lists, dice)
        rows = score(marks, queries, {"this": ranking}, [1, 3, 12], excluded=gone, resamples=1)
        told = {(s.metric, s.level, s.codes, s.k): s.value for s in rows}
        level = dice.choice(("category", "division", "section"))
        codes = dice.choice(("all", "figurative"))
        for metric, k in itertools.product(SLOW, (1, 3, 12)):
            # What is left out still counts among the holders of a code, here and there.
            expected = slow(marks, queries, lists, metric, level, codes, k)
            assert told.get((metric, level, codes, k)) == (
                None if expected is None else pytest.approx(expected)
            )


def test_chance_without_near_duplicates_equals_a_simulation() -> None:
    marks, queries, _, lists = random_case(4, count=20)
    _, gone, left = without_one(marks, queries, lists, random.Random(0))
    dice = random.Random(2)
    totals: dict[tuple[str, str, str, int], list[float]] = {}
    expected: dict[tuple[str, str, str, int], float] = {}
    many, many_gone = np.tile(queries, 10), gone * 10  # 30 means of 10 rankings each
    for _ in range(30):
        top, mates = [], []
        for query in many.tolist():
            dice.shuffle(left[query])
            top.append(list(left[query]))
            mates.append(group_ranks(marks.groups, query, top[-1]))
        ranking = Ranking(np.array(top), mates)
        for s in score(marks, many, {"x": ranking}, [3, 5], excluded=many_gone, resamples=1):
            key = (s.metric, s.level, s.codes, s.k)
            totals.setdefault(key, []).append(s.value or 0.0)
            expected[key] = s.chance or 0.0
    assert ("group_metu_map", "group", "all", 0) in totals
    assert any(codes[:1].isdigit() for _, _, codes, _ in totals)
    for key, values in totals.items():
        error = 5 * float(np.std(values)) / math.sqrt(len(values)) + 1e-9
        assert np.mean(values) == pytest.approx(expected[key], abs=error), key


def test_metus_formulas_on_a_worked_example() -> None:
    # Ten marks, four of them of one group. Behind the query come its mates at 2, 5 and 7 of METU's
    # list, in which the query is the first: NAR = (1 + 2 + 5 + 7 - 4 * 5 / 2) / (10 * 4) = 0.125.
    groups = ["a", "a", "", "", "a", "", "a", "", "", ""]
    top = np.array([[1, 2, 3, 4, 5, 6, 7, 8, 9]])
    ranking = Ranking(top, [np.array([1, 4, 6])])
    rows = score(GalleryLabels([()] * 10, groups), np.array([0]), {"this": ranking}, [4])
    told = {s.metric: s.value for s in rows}
    assert told["group_nar"] == pytest.approx(0.125)
    assert told["group_metu_map"] == pytest.approx((1 / 1 + 2 / 2 + 3 / 5 + 4 / 7) / 4)
    assert told["group_map"] == pytest.approx((1 / 1 + 2 / 4 + 3 / 6) / 3)  # the query is no match
    assert told["group_recall"] == pytest.approx(2 / 3)


@pytest.mark.slow
def test_ranx_says_the_same_of_what_it_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    # So small cases are scored long before numba has compiled the first metric.
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    from ranx import Qrels, Run, evaluate

    for seed in range(30):
        marks, queries, ranking, lists = random_case(seed)
        rows = score(marks, queries, {"this": ranking}, [1, 3, 13], resamples=1)
        told = {(s.metric, s.k): s for s in rows if (s.level, s.codes) == ("division", "all")}
        relevance = Relevance(marks.vienna, "division")
        wanted, found = {}, {}
        for query in queries.tolist():
            near, gains = relevance.relevant(query)
            if len(near):
                pairs = zip(near.tolist(), gains.tolist(), strict=True)
                wanted[str(query)] = {str(row): max(1, round(1e9 * gain)) for row, gain in pairs}
                found[str(query)] = {str(row): 1 / rank for rank, row in enumerate(lists[query], 1)}
        if not wanted:
            continue
        names = {
            f"{theirs}@{k}": (ours, k)
            for theirs, ours in (
                ("hit_rate", "hit"),
                ("precision", "precision"),
                ("recall", "recall"),
                ("ndcg", "ndcg"),
            )
            for k in (1, 3, 13)
        } | {"map@13": ("map", 13)}  # ours divides by min(R, k), which differs for short lists only
        theirs = evaluate(Qrels(wanted), Run(found), list(names), make_comparable=True)
        for name, key in names.items():
            assert told[key].value == pytest.approx(theirs[name], abs=1e-6), (seed, name)
