"""The filter of the list of runs: which words fit which runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.rows import row
from tui.runs.run_filter import OPERATORS, Condition, parse_filter


@pytest.mark.parametrize(
    "text",
    [
        "",
        "toy",
        "RUNNING",
        "box",
        "optim.lr=0.1",
        "lr>=1e-3 state=running name~toy",
        "lr=1e-1",
        "lr!=0.2",
        "lr>=",  # half typed
        "loss<4 epoch>12 group=0.25",
        "views~il",
        "views=MILD",
        "compile=true",
        "finding~chance",
        "hit!=1",  # there is none
        "seed<=7 seed>6",
    ],
)
def test_a_run_fits(text: str) -> None:
    assert parse_filter(text).fits(row())


@pytest.mark.parametrize(
    "text",
    [
        "toys",
        "lr>=0.2",
        "lr=0.001",  # that is min_lr
        "state=run",
        "hit>0",  # there is none
        "nosuch=1",
        "views>a",  # words have no order here
        "toy state=finished",
        "best>=0",
        "lr=nan",
    ],
)
def test_a_run_does_not_fit(text: str) -> None:
    assert not parse_filter(text).fits(row())


def test_a_loss_that_is_missing_fits_only_an_inequality() -> None:
    assert not parse_filter("loss<9").fits(row(loss=None))
    assert parse_filter("loss!=9").fits(row(loss=None))


def test_an_unknown_name_is_told_with_the_nearest_one() -> None:
    assert (
        parse_filter("viewz=mild").problem([row()]) == "no run has 'viewz' (did you mean 'views'?)"
    )
    assert parse_filter("views=wild lr>9").problem([row()]) == ""


names = st.sampled_from(["lr", "optim.lr", "state", "name", "loss", "x"])
values = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>=!~"), min_size=1
)


@given(st.lists(st.tuples(names, st.sampled_from(OPERATORS), values), max_size=4))
def test_what_is_written_is_what_is_asked(words: list[tuple[str, str, str]]) -> None:
    found = parse_filter("  ".join("".join(word) for word in words)).conditions
    assert found == tuple(Condition(n, o, v.casefold()) for n, o, v in words)


@given(st.text(max_size=60))
def test_any_text_is_a_filter(text: str) -> None:
    wanted = parse_filter(text)
    wanted.fits(row())
    wanted.problem([row()])


@given(st.lists(values, max_size=3))
def test_more_words_never_fit_more_runs(words: list[str]) -> None:
    runs = [row(), row("metu", "finished"), row("a", "dead", None)]
    wide, narrow = parse_filter(" ".join(words[:1])), parse_filter(" ".join(words))
    assert {r.run.name for r in runs if narrow.fits(r)} <= {
        r.run.name for r in runs if wide.fits(r)
    }
