"""One ranking of several likenesses: its weights, its codes and its order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.errors import InputError
from tmssl.retrieval.search.combined import best_rows, code_similarity
from tmssl.retrieval.search.weights import (
    Weights,
    choose_weights,
    parse_weights,
    weighted_mean,
)


def test_weights_are_parsed_and_what_is_not_named_weighs_nothing() -> None:
    assert parse_weights("picture=1, text=0.5,codes=0.2") == Weights(1, 0.5, 0.2)
    assert parse_weights("codes=1") == Weights(codes=1)


def test_without_weights_they_follow_from_what_is_given() -> None:
    def chosen(words: str, given: str = "") -> Weights | None:
        kinds = {name: name in words for name in Weights._fields}
        return choose_weights(given, **kinds)

    assert chosen("picture") is None
    assert chosen("picture text") == Weights(1, 0.3, 0.2)
    assert chosen("picture text codes") == Weights(1, 0.3, 0.5)
    assert chosen("picture codes") == Weights(1, 0, 0.5)
    assert chosen("text") == Weights(0, 1)
    assert chosen("picture", "codes=1") == Weights(codes=1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("texts=1", r"name 'texts' \(did you mean 'text'\?\); give such as picture=1"),
        ("", "name ''"),
        ("text=1,text=2", "name text twice"),
        ("picture=-1", "the weight of picture is '-1'; give a number from 0 to 1000"),
        ("picture=nan", "the weight of picture is 'nan'"),
        ("picture", "the weight of picture is ''"),
        ("picture=0,text=0", "are all 0"),
    ],
)
def test_a_wrong_weight_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse_weights(text)


@given(st.floats(0, 1000), st.floats(0.001, 1000), st.integers(0, 9))
def test_the_mean_is_between_its_parts_and_is_one_part_alone_where_no_other_is_there(
    picture: float, text: float, seed: int
) -> None:
    one, other = np.random.default_rng(seed).uniform(-1, 1, (2, 20)).astype(np.float32)
    weights = Weights(picture, text)
    mean = weighted_mean({"picture": one, "text": other}, weights)
    assert (mean >= np.minimum(one, other) - 1e-6).all()
    assert (mean <= np.maximum(one, other) + 1e-6).all()
    assert weighted_mean({"text": other}, weights) == pytest.approx(other, abs=1e-6)


def test_what_is_unknown_neither_raises_nor_lowers_a_mark() -> None:
    picture = np.array([0.8, 0.5, 0.4, 0.3], np.float32)
    text = np.array([np.nan, 1, 0.2, np.nan], np.float32)
    mean = weighted_mean({"picture": picture, "text": text}, Weights(1, 1))
    assert mean == pytest.approx([0.7, 0.75, 0.3, 0.45])
    assert weighted_mean({"text": text}, Weights(1, 1)) == pytest.approx([0, 1, 0.2, 0])
    nothing = np.full(4, np.nan, np.float32)
    mean = weighted_mean({"picture": picture, "codes": nothing}, Weights(1, 0, 1))
    assert mean == pytest.approx(picture / 2)


def test_rare_codes_count_more_and_the_similarity_is_that_of_the_definition() -> None:
    marks = [("03.01.07", "26.01"), ("26.01",), ("03.01",), (), ("05.05",)]
    holders = {"03.01": 2, "26.01": 80, "05.05": 18}
    alike = code_similarity(["03.01.02", "26.01.01"], marks, holders, 100)
    rare, frequent, other = np.log(50), np.log(100 / 80), np.log(100 / 18)
    whole = rare + frequent
    expected = [1, frequent / whole, rare / whole, np.nan, 0 / (whole + other)]
    assert alike == pytest.approx(expected, nan_ok=True)
    assert np.nansum(code_similarity([], marks, holders, 100)) == 0


def test_rows_fall_in_similarity_and_a_mask_leaves_the_rest() -> None:
    similarity = np.array([0.5, 0.9, 0.5, 0.1], np.float32)
    assert best_rows(similarity, 3).tolist() == [1, 0, 2]
    assert best_rows(similarity, 2, np.array([True, False, True, True])).tolist() == [0, 2]
