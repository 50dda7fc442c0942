"""`tmssl train --find-lr` by the real trainer, which leaves nothing behind."""

import json
from pathlib import Path

import pytest

from tests.helpers.command import TINY, error_line, tmssl
from tests.helpers.marks import draw_marks


@pytest.fixture(scope="module")
def marks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_marks(tmp_path_factory.mktemp("marks") / "marks", 40, validation=8)


@pytest.mark.slow
def test_the_rates_rise_and_no_run_is_kept(tmp_path: Path, marks: Path) -> None:
    done = tmssl(tmp_path, "train", "--data", str(marks), *TINY, "--find-lr", "--json")
    told = json.loads(done.stdout)
    rates, losses = told["rates"], told["losses"]
    assert rates[0] == pytest.approx(1e-7)
    assert rates == sorted(rates)
    assert 10 <= len(rates) == len(losses) == len(told["smoothed"]) <= 100
    assert rates[-1] == pytest.approx(1.0) or told["diverged"]
    assert {"steepest", "valley", "lowest", "advice", "chance"} <= told.keys()
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_the_curve_is_drawn_with_its_advice(tmp_path: Path, marks: Path) -> None:
    done = tmssl(tmp_path, "train", "--data", str(marks), *TINY, "--find-lr")
    assert "loss by log10 of the learning rate" in done.stdout
    assert "advice: --lr" in done.stdout or "no rate can be advised" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--find-lr", "--resume"], "--find-lr and --preview-views are for a new run"),
        (["--find-lr"], "there is nothing to train on"),
        (["--json"], "--json is for --dry-run and --find-lr"),
        (["--schedule", "range-test", "--set", "min_lr=0"], "give one above 0, such as 1e-7"),
    ],
)
def test_wrong_words_are_one_line(tmp_path: Path, words: list[str], said: str) -> None:
    assert said in error_line(tmssl(tmp_path, "train", *words, code=2))
