"""A journal's settings may be of any type; whoever shows them says what it can, and never fails."""

from pathlib import Path

import msgspec
import pytest

from tests.helpers.histories import two_segments
from tmssl.config import Config, changed, to_dict
from tmssl.runs.cost import cost
from tmssl.runs.events import Event, Segment
from tmssl.runs.findings.diagnose import diagnose
from tmssl.runs.folder import Run
from tmssl.runs.history import read_history, summary
from tmssl.runs.report import report
from tui.live.styled_text import headline, run_lines
from tui.options import DisplayOptions

ODD = ["x", "", True, None, [], {"a": 1}, -1.0, 1e308, 10**400, 0, "9" * 5000]
CONFIG = to_dict(Config())
NAMES = [(section, name) for section, values in CONFIG.items() for name in values]


def reported(schedule: str, odd: object, names: list[tuple[str, str]]) -> str:
    """The report of a run some of whose settings are odd, after all else that is said of it."""
    config = changed(Config(), {"schedule": schedule})
    events: list[Event] = []
    for event in two_segments(config):
        if isinstance(event, Segment):
            settings = to_dict(config)
            for section, name in names:
                if name != "schedule":
                    settings[section][name] = odd
            event = msgspec.structs.replace(event, config=dict(settings))
        events.append(event)
    history = read_history(events)
    diagnose(history)
    cost(history)
    summary(history, alive=True, now=2000.0)
    headline(Run(Path("r")), history, True, "", DisplayOptions())
    run_lines(history, True, 80, DisplayOptions())
    return report(history, "r", alive=False)


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
def test_settings_of_any_type_are_shown(schedule: str) -> None:
    for odd in ODD:
        assert reported(schedule, odd, NAMES).startswith("# Training Log Report")
    for name in NAMES:
        assert reported(schedule, "x", [name]).startswith("# Training Log Report")


@pytest.mark.parametrize(("value", "figure"), [(3, 3.0), (0.5, 0.5), ("3", None), (True, None)])
def test_a_figure_is_a_finite_number(value: object, figure: float | None) -> None:
    assert Segment(config={"optim": {"lr": value}}).figure("optim", "lr") == figure
    for odd in (10**400, float("nan"), float("inf"), [1.0]):
        assert Segment(config={"optim": {"lr": odd}}).figure("optim", "lr") is None
    assert Segment(config={"optim": 3}).figure("optim", "lr") is None
