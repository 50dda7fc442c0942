"""How the measure of stylings judges: known items of other hands, ties against."""

import numpy as np
import pytest

from tests.bench.known_icons import item
from tests.bench.known_items import figures, find, lead, wrong_before
from tests.bench.views import sampled
from tmssl.data.sources.marks import Mark


def drawn(hand: str, owner: str) -> Mark:
    return Mark(path=f"{hand}/{owner}.png", group=owner, extra={"hand": hand})


MARKS = [drawn("a", "x"), drawn("b", "x"), drawn("a", "y"), drawn("b", "y"), drawn("a", "z")]


def slow_wrong_before(vectors: np.ndarray, marks: list[Mark]) -> list[int]:
    found = []
    for query, mine in zip(vectors, marks, strict=True):
        others = [
            (float(query @ vector), mark.group == mine.group)
            for vector, mark in zip(vectors, marks, strict=True)
            if mark.extra["hand"] != mine.extra["hand"]
        ]
        right = [near for near, same in others if same]
        if right:
            found.append(sum(near >= max(right) for near, same in others if not same))
    return found


def test_a_mark_is_compared_with_the_drawings_of_other_hands() -> None:
    vectors = np.random.default_rng(0).integers(0, 3, (5, 4)).astype(np.float32)
    assert wrong_before(vectors, MARKS).tolist() == slow_wrong_before(vectors, MARKS)


def test_all_the_same_finds_nothing_and_the_very_same_everything() -> None:
    assert figures(np.ones((5, 2), np.float32), MARKS)[0] == 0
    own = np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2]]
    assert figures(own, MARKS) == (1.0, 1.0)


def test_marks_without_labels_are_known_by_folder_and_name() -> None:
    marks = [Mark(path="aws/vpn.png"), Mark(path="gcp/net/vpn.png"), Mark(path="gcp/dns.png")]
    assert len(wrong_before(np.ones((3, 2), np.float32), marks)) == 2


def test_a_sample_keeps_items_together() -> None:
    assert [mark.group for mark in sampled(tuple(MARKS), 4)] == ["x", "x", "y", "y"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("google-cloud-icon", "googlecloud"),
        ("react", "react"),
        ("nextdotjs", "next"),
        ("next-js", "next"),
    ],
)
def test_names_of_one_owner_agree(name: str, expected: str) -> None:
    assert item(name) == expected


def test_precision_is_over_all_that_other_hands_drew() -> None:
    vectors = np.random.default_rng(1).standard_normal((5, 4)).astype(np.float32)
    found = find(vectors, MARKS)
    for row, precision in zip(found.rows.tolist(), found.precision.tolist(), strict=True):
        others = [i for i in range(5) if MARKS[i].extra["hand"] != MARKS[row].extra["hand"]]
        others.sort(key=lambda i: -float(vectors[row] @ vectors[i]))
        hits = [MARKS[i].group == MARKS[row].group for i in others]
        slow = [sum(hits[: at + 1]) / (at + 1) for at in range(len(hits)) if hits[at]]
        assert precision == pytest.approx(sum(slow) / len(slow))


def test_what_is_left_out_is_neither_found_nor_in_the_way() -> None:
    left_out = np.zeros((5, 5), np.bool_)
    left_out[0, 1] = left_out[1, 0] = True
    assert find(np.eye(5, dtype=np.float32), MARKS, left_out).rows.tolist() == [2, 3]


def test_a_lead_is_the_mean_difference_and_brands_stay_together() -> None:
    ours, theirs = np.array([1.0, 1.0, 0.0, 0.0]), np.zeros(4)
    mean, low, high = lead(ours, theirs, np.array([7, 7, 9, 9]))
    assert (mean, low, high) == (0.5, 0.0, 1.0)  # both of a brand come together
    assert lead(ours, ours, np.array([7, 7, 9, 9])) == (0.0, 0.0, 0.0)
