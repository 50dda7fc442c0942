import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tmssl.errors import InputError
from tmssl.runs.events import Epoch, Eval, Segment, Started
from tmssl.runs.history import History, read_history
from tmssl.runs.import_log import Meaning, read_plain_log
from tmssl.runs.journal import read_journal

ROOT = Path(__file__).parents[2]
SEED = (ROOT / "tests/runs/training-log-report.md").read_text("utf-8")
KNOWN = Meaning(keys=1024, steps_per_epoch=525, hit_chance={10: 0.75, 100: 0.94})


def history_of(text: str, meaning: Meaning = KNOWN) -> History:
    return read_history(read_plain_log(text, "log", meaning))


def test_the_training_log_report_gives_its_three_phases() -> None:
    history = history_of(SEED)
    assert [segment.title for segment in history.segments] == [
        "Initial Weak Supervision",
        "Switch to Instance Discrimination (SSL)",
        "LR Scheduling & Extension",
    ]
    assert [(segment.epoch, segment.epochs) for segment in history.segments] == [
        (0, 10),
        (10, 20),
        (20, 50),
    ]
    first, second, third = (segment.config for segment in history.segments)
    assert first["data"] == {"positives": "vienna"}
    assert second["data"] == {"positives": "instance"}
    assert second["optim"] == {"schedule": "constant", "lr": 3e-4}
    assert third["optim"] == {"schedule": "cosine", "lr": 3e-4, "min_lr": 1e-6, "anchor": 20.0}
    assert history.segments[1].changed["data.positives"] == ["vienna", "instance"]


def test_its_epochs_come_to_the_digit_each_once_and_in_its_phase() -> None:
    history = history_of(SEED)
    assert [(epoch.epoch, epoch.loss) for epoch in history.epochs] == [
        (10, 7.0350),
        (11, 7.0305),
        (12, 7.0213),
        (13, 7.0109),
        (14, 7.0013),
        (15, 7.0030),
        (16, 7.0732),
        (17, 7.0308),
        (18, 7.1003),
        (19, 7.2163),
        (24, 4.79),
    ]
    second, third = history.segments[1], history.segments[2]
    assert all(second.step < e.step <= third.step for e in history.epochs[:-1])


def test_its_observations_are_found_and_explained() -> None:
    codes = [finding.code for finding in history_of(SEED).findings]
    assert [code for code in codes if not code.startswith("noted-")][:4] == [
        "at-chance",
        "at-chance",
        "rising",
        "below-chance",
    ]
    told = " ".join(finding.text for finding in history_of(SEED).findings)
    assert "Loss plateaued around 7.0." in told
    assert "rising from epoch 16 on" in told
    assert "hit@100 is 0 over 10 queries where chance is 0.94" in told
    assert "7.216 before, 4.790 at epoch 24" in told


def test_its_evaluation_stands_beside_the_chance_that_was_given() -> None:
    (event,) = history_of(SEED).evals
    assert (event.epoch, event.queries, event.split) == (24, 10, "Toy Validation")
    assert [(s.k, s.value, s.chance) for s in event.scores] == [(10, 0, 0.75), (100, 0, 0.94)]


def test_the_committed_run_is_what_the_importer_makes_of_it() -> None:
    assert read_journal(ROOT / "runs/training-log/metrics.jsonl") == read_plain_log(
        SEED, "training-log", KNOWN
    )


def test_a_bare_log_is_enough_and_a_step_back_is_a_resume() -> None:
    text = "Epoch 1 complete. Avg Loss: 3.5\nEpoch 2 complete. Avg Loss: nan\nEpoch 3/10 loss=2.5 lr=1e-3\nEpoch 2 complete. Avg Loss: 2.4\n"
    events = read_plain_log(text, "log", Meaning())
    assert [(e.epoch, e.loss) for e in events if isinstance(e, Epoch)] == [
        (1, 3.5),
        (2, None),
        (3, 2.5),
        (2, 2.4),
    ]
    segments = [event for event in events if isinstance(event, Segment)]
    assert [(s.reason, s.step, s.chance) for s in segments] == [
        ("start", 0, None),
        ("resume", 1, None),
    ]
    assert [(e.epoch, e.loss) for e in read_history(events).epochs] == [(1, 3.5), (2, 2.4)]
    assert [event.lr for event in events if isinstance(event, Epoch)][2] == 1e-3


def test_a_log_that_counts_from_0_is_done_an_epoch_later() -> None:
    events = read_plain_log("epoch: 0, loss: 1.2\nepoch: 1, loss: 1.1", "log", Meaning())
    assert [(e.epoch, e.step) for e in events if isinstance(e, Epoch)] == [(0, 1), (1, 2)]
    assert read_history(events).total_steps == 2


def test_a_log_without_epochs_says_what_was_expected() -> None:
    with pytest.raises(InputError, match="no line gives the loss of an epoch"):
        read_plain_log("hello\n", "log", Meaning())


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=30))
def test_every_loss_that_is_printed_comes_back(losses: list[float]) -> None:
    text = "\n".join(
        f"Epoch {i} complete. Avg Loss: {loss:.4f}" for i, loss in enumerate(losses, 1)
    )
    events = read_plain_log(text, "log", Meaning(keys=64))
    assert isinstance(events[0], Started)
    found = [event.loss for event in events if isinstance(event, Epoch)]
    assert found == [float(f"{loss:.4f}") for loss in losses]
    segment = next(event for event in events if isinstance(event, Segment))
    assert segment.chance == pytest.approx(math.log(64))


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader(text: str) -> None:
    for around in (text, f"{text}\nEpoch 1 complete. Avg Loss: 2.0\n{text}"):
        try:
            events = read_plain_log(around, "log", Meaning())
        except InputError:
            continue
        assert not any(isinstance(event, Eval) and not event.scores for event in events)
