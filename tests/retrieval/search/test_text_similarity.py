"""Texts of marks, compared with one: what is alike, and what says nothing."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.data.sources.marks import Mark, MarkTable
from tmssl.errors import InputError
from tmssl.retrieval.search.text_similarity import MarkTexts, mark_texts, plain_form

TITLES = [
    "ACME Foods, Inc.",
    "Acme",
    "Akme",
    "Foods of the Moon",
    "Smartphone",
    "figurative mark",
    "",
    "Moon Foods",
]


def ranked(text: str, *columns: list[str]) -> list[str]:
    """Titles by falling similarity to a text, those without any left out."""
    similarity = MarkTexts(columns or [TITLES]).similarity(text)
    assert similarity.shape == (len(TITLES),)
    order = np.argsort(-similarity, kind="stable")
    return [TITLES[row] for row in order if not np.isnan(similarity[row])]


def test_equal_texts_are_1_and_a_text_that_says_nothing_is_unknown() -> None:
    similarity = MarkTexts([TITLES]).similarity("ACME ltd")
    assert similarity[1] == pytest.approx(1)
    assert np.isnan(similarity).tolist() == [False] * 5 + [True, True, False]
    assert np.nanmax(similarity) <= 1


def test_misspelled_added_and_swapped_words_are_found() -> None:
    assert ranked("acme")[:3] == ["Acme", "ACME Foods, Inc.", "Akme"]
    assert ranked("foods acme")[0] == "ACME Foods, Inc."
    assert ranked("moonfoods")[0] == "Moon Foods"
    assert ranked("the acmme fods company")[0] == "ACME Foods, Inc."
    assert MarkTexts([TITLES]).similarity("art")[4] < 0.7  # within a word


def test_the_text_that_is_most_alike_counts() -> None:
    read = ["", "", "", "", "", "MOONLIGHT", "", ""]
    assert ranked("moonlight", TITLES, read)[0] == "figurative mark"
    register = MarkTexts([TITLES]).similarity("moon foods")
    both = MarkTexts([TITLES, read]).similarity("moon foods")
    assert (both >= np.nan_to_num(register))[:6].all()
    assert np.isnan(both).tolist() == [row == 6 for row in range(8)]


@given(st.text(max_size=300), st.lists(st.text(max_size=300), min_size=1, max_size=5))
def test_any_text_has_a_similarity_from_0_to_1(text: str, titles: list[str]) -> None:
    texts = MarkTexts([titles])
    if not plain_form(text):
        with pytest.raises(InputError, match="no letter or digit"):
            texts.similarity(text)
        return
    similarity = texts.similarity(text)
    assert np.isnan(similarity).tolist() == [not plain_form(title) for title in titles]
    assert ((similarity >= 0) & (similarity <= 1 + 1e-6) | np.isnan(similarity)).all()
    assert MarkTexts([[text]]).similarity(text)[0] == pytest.approx(1)


def test_without_texts_or_the_extra_one_line_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match="no mark has a text to compare"):
        mark_texts(MarkTable.of([Mark("a.png"), Mark("b.png")]))
    texts = mark_texts(MarkTable.of([Mark("a.png", title="Acme")]))
    monkeypatch.setitem(sys.modules, "rapidfuzz", None)
    with pytest.raises(InputError, match=r"needs the extra text: pip install 'tmssl\[text\]'"):
        texts.similarity("acme")
