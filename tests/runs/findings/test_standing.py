"""Of all findings, those that are still true, the worst first."""

from pathlib import Path

import msgspec
import pytest

from tests.helpers.histories import short_history
from tests.helpers.scores import group_recall
from tmssl.runs.events import Checkpoint, Epoch, Eval, Finding, Segment, Step
from tmssl.runs.findings.standing import finding_facts, standing_findings, worst_finding
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal

LOG = Path(__file__).parents[3] / "runs" / "training-log" / "metrics.jsonl"


def codes(history: History) -> list[str]:
    return [finding.code for finding in standing_findings(history)]


def found(code: str, level: str = "bad", step: int = 30) -> Finding:
    return Finding(code=code, level=level, text=code, step=step, epoch=step / 10, t=1000.0 + step)


def at_loss(loss: float) -> History:
    """60 steps, the last 30 at one loss; chance is 5.55."""
    history = short_history(30)
    history.add([Step(step=n, epoch=n / 10, loss=loss, t=1000.0 + n) for n in range(31, 61)])
    return history


def test_the_broken_join_of_the_training_log_comes_before_its_good_news() -> None:
    history = read_history(read_journal(LOG))
    assert history.findings[-1].code == "broke-out"
    finding, others = worst_finding(history)
    assert finding is not None
    assert "labels and images are probably joined wrongly" in finding.text
    assert others == "4 notes"
    assert not {"at-chance", "rising"} & set(codes(history))  # the loss has left both behind


def test_a_loss_at_chance_is_told_until_it_falls() -> None:
    for loss, expected in ((5.5, ["at-chance"]), (4.0, [])):
        history = at_loss(loss)
        history.add([found("at-chance")])
        assert codes(history) == expected


@pytest.mark.parametrize(("later", "stands"), [(0.9, False), (0.05, True)])
def test_a_collapse_is_over_when_features_spread_again(later: float, stands: bool) -> None:
    history = short_history(30)
    history.add([found("collapse"), *(Step(step=n, feature_std=later) for n in range(31, 41))])
    assert (codes(history) == ["collapse"]) is stands


def test_a_wait_for_data_is_over_when_data_come_in_time() -> None:
    history = short_history(40)  # waits during 1 % of each step
    history.add([found("starving", "warning")])
    assert codes(history) == []
    history.add([Step(step=n, data_s=0.5, step_s=1.0, t=1000.0 + n) for n in range(41, 61)])
    assert codes(history) == ["starving"]


def test_a_loss_that_was_not_finite_is_over_after_twenty_that_are() -> None:
    history = short_history(30)
    history.add([Step(step=31, loss=None, t=1031.0), found("non-finite", step=31)])
    assert codes(history) == ["non-finite"]
    history.add([Step(step=n, loss=4.0, t=1000.0 + n) for n in range(32, 60)])
    assert codes(history) == []


def test_the_next_evaluation_confirms_or_ends_what_the_last_one_said() -> None:
    def event(step: int, value: float) -> Eval:
        score = group_recall(value, 0.003, {"perceptual hash": 0.4})
        return Eval(epoch=step / 10, step=step, scores=[score])

    history = short_history()
    history.add([event(30, 0.1), found("hash-finds-more", "warning")])
    assert codes(history) == ["hash-finds-more"]
    history.add([event(40, 0.2)])
    assert codes(history) == ["hash-finds-more"]
    history.add([event(50, 0.6)])
    assert codes(history) == []


def test_a_resume_ends_what_was_about_the_segment_before() -> None:
    history = short_history(30)
    history.add([found("lr-jump", "warning"), found("unknown-code", "grave")])
    assert codes(history) == ["unknown-code", "lr-jump"]
    history.add([Segment(number=1, step=30, steps_per_epoch=10, epochs=10, chance=5.55)])
    assert codes(history) == []


def test_a_rise_ends_where_the_loss_is_as_low_as_before() -> None:
    losses = [5.0, 4.0, 4.5, 4.6, 4.7, 4.8]
    epochs = [Epoch(epoch=i, step=10 * i, loss=loss) for i, loss in enumerate(losses, 1)]
    history = short_history(60)
    history.add([*epochs, found("rising", step=60)])
    assert codes(history) == ["rising"]
    history.add([Epoch(epoch=7, step=70, loss=3.9)])
    assert codes(history) == []


def test_a_plateau_ends_when_the_loss_goes_on_falling() -> None:
    epochs = [Epoch(epoch=i, step=10 * i, loss=4.0, lr=0.1) for i in range(1, 10)]
    history = short_history(90)
    history.add([*epochs, found("plateau", "warning", step=80)])
    assert codes(history) == ["plateau"]
    history.add([Epoch(epoch=10, step=100, loss=3.0, lr=0.1)])
    assert codes(history) == []


def test_a_refused_checkpoint_is_over_with_the_next_one() -> None:
    history = short_history(40)
    history.add([found("checkpoint-failed"), found("evaluation-failed", "warning")])
    assert codes(history) == ["checkpoint-failed", "evaluation-failed"]
    history.add([Checkpoint(step=40, t=1040.0), Eval(step=40, t=1041.0)])
    assert codes(history) == []


def test_a_finding_that_is_told_again_counts_once() -> None:
    history = short_history(40)
    again = msgspec.structs.replace(found("journal-held", "warning", 35), text="again")
    history.add([found("journal-held", "warning"), again, found("best", "good", 38)])
    assert codes(history) == ["journal-held", "best"]
    told = finding_facts(history)
    assert (told["finding"], told["finding_level"], told["findings_standing"]) == (
        "again",
        "warning",
        2,
    )
    assert finding_facts(History())["finding"] is None
