import math

from hypothesis import given
from hypothesis import strategies as st

from tmssl.runs.events import Segment, Step
from tmssl.runs.history import read_history
from tmssl.runs.steps import FIELDS, Steps

figure = st.floats(-1e9, 1e9) | st.none()
steps = st.builds(
    Step,
    step=st.integers(0, 30),
    epoch=st.floats(0, 9),
    loss=figure,
    lr=figure,
    gpu_util=figure,
    t=st.floats(0, 1e10),
)


def by_hand(told: list[Step]) -> list[Step]:
    """The later life of a step wins: the obvious way."""
    kept: list[Step] = []
    for step in told:
        kept = [earlier for earlier in kept if earlier.step < step.step]
        kept.append(step)
    return kept


@given(st.lists(st.lists(steps, max_size=8), max_size=6))
def test_columns_hold_the_steps_that_a_list_would(groups: list[list[Step]]) -> None:
    columns = Steps()
    for group in groups:
        columns.take(group)
    assert list(columns) == by_hand([step for group in groups for step in group])
    assert list(columns[-3:]) == list(columns)[-3:]
    assert list(columns.between(5, 12)) == [step for step in columns if 5 < step.step <= 12]


@given(st.lists(steps, max_size=12), st.integers(0, 31))
def test_cutting_forgets_a_step_and_all_that_came_after(told: list[Step], at: int) -> None:
    columns = Steps(told)
    before = list(columns)
    columns.cut(at)
    assert list(columns) == [step for step in before if step.step < at]


def test_what_was_not_measured_is_nan_in_its_column_and_none_in_its_step() -> None:
    columns = Steps([Step(step=1, loss=2.0), Step(step=2), Step(step=3, loss=math.nan)])
    assert [math.isnan(value) for value in columns.column("loss")] == [False, True, True]
    assert [step.loss for step in columns] == [2.0, None, None]
    assert columns == [Step(step=1, loss=2.0), Step(step=2), Step(step=3)]


def test_a_million_steps_take_what_their_numbers_take() -> None:
    columns = Steps(Step(step=i, loss=1.0) for i in range(1000))
    bytes_held = sum(len(columns.column(name)) * 8 for name in FIELDS) + 8 * len(columns)
    assert bytes_held == 1000 * 8 * len(Step.__struct_fields__)


def test_a_segment_between_steps_abandons_those_after_it() -> None:
    told = [Step(step=i) for i in range(1, 6)]
    history = read_history([*told, Segment(step=2), Step(step=4)])
    assert [step.step for step in history.steps] == [1, 2, 4]


def test_a_number_of_steps_that_no_run_reaches_is_damage() -> None:
    from tmssl.runs.journal import decode

    assert decode(b'{"kind":"step","step":9007199254740992}') is not None
    assert decode(b'{"kind":"step","step":9007199254740993}') is None
    assert decode(b'{"kind":"step","step":-1}') is None
    assert decode(b'{"kind":"segment","epochs":' + b"9" * 400 + b"}") is None
