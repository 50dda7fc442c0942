import pytest

from tmssl.training.pace import FittedRun, Pace, fit_run

PACE = Pace(view_s=0.01, step_s=0.1)  # 1,000 marks: 10 s a view, 1 s an epoch


@pytest.mark.parametrize(
    ("seconds", "fitted"),
    [
        (1000, FittedRun(4, 54, 94.0)),
        (94, FittedRun(4, 54, 94.0)),
        (90, FittedRun(3, 54, 84.0)),
        (75, FittedRun(2, 54, 74.0)),
        (60, FittedRun(2, 40, 60.0)),
        (5, FittedRun(2, 18, 38.0)),  # too little for anything worth it
    ],
)
def test_a_run_is_shortened_to_fit_a_time(seconds: float, fitted: FittedRun) -> None:
    found = fit_run(PACE, marks=1000, seconds=seconds, views=4, epochs=54, steps_per_epoch=10)
    assert (found.views, found.epochs) == (fitted.views, fitted.epochs)
    assert found.seconds == pytest.approx(fitted.seconds)
