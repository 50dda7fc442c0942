import itertools
import time

import pytest

from cli.output.progress import fitting_bar, progress_bar
from tmssl.runs.events import Axes


@pytest.fixture
def _ten_seconds_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 10.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))


@pytest.mark.usefixtures("_ten_seconds_a_look")
def test_the_next_work_under_one_label_is_timed_from_its_own_beginning(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_bar("evaluating") as update:
        for done in (1000, 3000, 0, 300):
            update(done, 3000)
    lines = capsys.readouterr().err.splitlines()
    assert lines[1].startswith("evaluating 3000/3000 (100 %)")
    assert lines[3] == "evaluating 300/3000 (10 %), 10.0/s, ETA 4m 30s"


def test_a_fit_that_has_begun_before_is_timed_from_there(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with fitting_bar() as show:
        show(Axes(done=1000, total=4000, seconds=10.0))
    assert capsys.readouterr().err.startswith(
        "fitting the whitening 1000/4000 (25 %), 100/s, ETA 30s"
    )
