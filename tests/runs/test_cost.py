import pytest

from tmssl.runs.cost import Cost, cost, cost_words, seconds_spent
from tmssl.runs.events import Event, Segment, Step
from tmssl.runs.history import read_history


def priced(price: object) -> dict[str, object]:
    return {"train": {"price_per_hour": price}}


def test_each_segment_costs_what_its_machine_cost() -> None:
    history = read_history(
        [
            Segment(t=1000.0, steps_per_epoch=10, epochs=5, config=priced(0.5)),
            Step(step=10, t=4600.0, step_s=360.0),
            Segment(number=1, step=10, t=1e5, steps_per_epoch=10, epochs=5, config=priced(2.0)),
            Step(step=20, t=1e5 + 1800, step_s=180.0),
            Step(step=30, t=1e5 + 3600, step_s=180.0),
        ]
    )
    found = cost(history)
    assert found is not None
    assert found.price_per_hour == 2.0
    assert found.spent == pytest.approx(0.5 + 2.0)
    assert found.to_come == pytest.approx(20 * 180 / 3600 * 2)
    assert cost_words(found) == "2.50 spent, 2.00 to come at 2 an hour"
    asked = cost(history, 1.0)
    assert asked is not None
    assert asked.spent == pytest.approx(2.0)


@pytest.mark.parametrize("jump_s", [0, -3600, 3600, 864_000])
def test_a_clock_that_jumps_changes_neither_cost_nor_time(jump_s: float) -> None:
    history = read_history(
        [
            Segment(t=1e6, steps_per_epoch=10, epochs=5, config=priced(1.0)),
            Step(step=10, t=1e6 + 36, step_s=3.6),
            Step(step=20, t=1e6 + 72 + jump_s, step_s=3.6),
            Segment(number=1, step=10, t=1e6 + 90 + jump_s, steps_per_epoch=10, epochs=5),
            Step(step=20, t=1e6 + 126 + jump_s, step_s=3.6),
        ]
    )
    found = cost(history, 1.0)
    assert found is not None
    assert found.spent == pytest.approx(0.03)  # the repeated steps cost too
    assert found.to_come == pytest.approx(0.03)
    assert seconds_spent(history) == pytest.approx(108)


def test_steps_without_times_are_counted_by_the_clock() -> None:
    events: list[Event] = [
        Segment(t=1e6, steps_per_epoch=10, epochs=5),
        Step(step=10, t=1e6 + 3600),
    ]
    assert seconds_spent(read_history(events)) == pytest.approx(3600)


@pytest.mark.parametrize("price", [0, 0.0, -1.0, None, "free", [], float("nan"), float("inf")])
def test_without_a_price_there_is_no_cost(price: object) -> None:
    assert cost(read_history([Segment(t=1.0, config=priced(price)), Step(step=1, t=9.0)])) is None
    assert cost(read_history([Segment(t=1.0, config={"train": price})])) is None
    assert cost(read_history([])) is None


def test_a_pace_that_is_unknown_promises_nothing() -> None:
    assert cost_words(Cost(0.4, 1.2, None)) == "1.20 spent at 0.4 an hour"
