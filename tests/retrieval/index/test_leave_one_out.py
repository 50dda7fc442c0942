"""Rows of the gallery as queries: their neighbours and the ranks of their mates meet sorted lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmssl.data.phash import l2_normalize
from tmssl.retrieval.index import leave_one_out
from tmssl.retrieval.index.faiss_index import build_index
from tmssl.retrieval.index.leave_one_out import mate_ranks, search_rows


def unit_vectors(count: int, width: int = 24, seed: int = 0) -> np.ndarray:
    return l2_normalize(np.random.default_rng(seed).normal(size=(count, width)))


def test_searching_finds_what_sorting_finds() -> None:
    vectors = unit_vectors(700)
    own = np.arange(0, 700, 2)  # more than one block of queries
    reports: list[tuple[int, int]] = []
    similarity, rows = search_rows(
        build_index(vectors), own, 20, lambda done, total: reports.append((done, total))
    )
    exact = vectors[own] @ vectors.T
    exact[np.arange(350), own] = -2
    expected = np.argsort(-exact, axis=1)[:, :20]
    overlap = np.mean(
        [len(set(a) & set(b)) / 20 for a, b in zip(rows.tolist(), expected.tolist(), strict=True)]
    )
    assert overlap >= 0.95  # half precision may swap near ties
    assert np.allclose(similarity, np.take_along_axis(exact, rows, 1), atol=2e-3)
    assert (np.diff(similarity) <= 0).all()
    assert not (rows == own[:, None]).any()
    assert reports[-1] == (350, 350)


def test_a_query_hidden_among_its_duplicates_is_still_left_out() -> None:
    vectors = np.repeat(unit_vectors(2), 6, axis=0)
    own = np.arange(12)
    similarity, rows = search_rows(build_index(vectors), own, 3)
    assert rows.shape == (12, 3)
    assert not (rows == own[:, None]).any()
    assert similarity.max() <= 1


def test_the_whole_gallery_can_be_listed() -> None:
    _, rows = search_rows(build_index(unit_vectors(5)), np.arange(5), 4)
    for own, found in enumerate(rows.tolist()):
        assert sorted([own, *found]) == [0, 1, 2, 3, 4]


def test_mates_come_last_among_ties_and_never_share_a_rank() -> None:
    vectors = l2_normalize(
        np.array([[1, 0], [1, 0.1], [1, 0.1], [0, 1], [1, 2.0]], dtype=np.float64)
    )
    index = build_index(vectors)
    ranks = mate_ranks(index, np.array([0, 3]), [np.array([1, 3]), np.array([], int)])
    assert [one.tolist() for one in ranks] == [[2, 4], []]
    both = mate_ranks(index, np.array([0]), [np.array([1, 2])])
    assert both[0].tolist() == [1, 2]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_ranks_of_mates_are_those_of_the_sorted_list(seed: int, count: int) -> None:
    dice = np.random.default_rng(seed)
    # Vectors of +-1/8, as of the perceptual hash, are exact in half precision and tie often.
    vectors = np.where(dice.random((count, 64)) < 0.5, 0.125, -0.125).astype(np.float32)
    vectors = vectors[dice.integers(0, count, count)]
    own = dice.integers(0, count, 3)
    mates = [
        np.array([row for row in range(count) if row != query and dice.random() < 0.2], int)
        for query in own.tolist()
    ]
    found = mate_ranks(build_index(vectors), own, mates)
    for query, wanted, ranks in zip(own.tolist(), mates, found, strict=True):
        ahead = [
            (-float(vectors[query] @ vectors[row]), row in wanted, row)
            for row in range(count)
            if row != query
        ]
        ordered = [row for _, _, row in sorted(ahead)]
        assert ranks.tolist() == [i for i, row in enumerate(ordered, 1) if row in wanted]


def test_ranks_are_the_same_however_the_gallery_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit_vectors(500)
    own, mates = np.arange(40), [np.array([i + 1, 499, 250]) for i in range(40)]
    index = build_index(vectors)
    whole = mate_ranks(index, own, mates)
    monkeypatch.setattr(leave_one_out, "_GALLERY_BLOCK", 37)
    monkeypatch.setattr(leave_one_out, "_QUERY_BLOCK", 7)
    reports: list[tuple[int, int]] = []
    parts = mate_ranks(index, own, mates, lambda done, total: reports.append((done, total)))
    assert [one.tolist() for one in parts] == [one.tolist() for one in whole]
    assert reports[-1] == (500, 500)
