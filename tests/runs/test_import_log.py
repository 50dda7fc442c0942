import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.growth import growth
from tmssl.errors import InputError
from tmssl.runs.events import Epoch, Eval, Segment, Started
from tmssl.runs.history import History, read_history
from tmssl.runs.import_log import Meaning, read_plain_log
from tmssl.runs.journal import decode, encode, read_journal

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


_LINE = "Epoch 1 complete. Avg Loss: 7.0\n"
_TITLED = "## Phase 1: a (Epochs 0-9)\n" + _LINE
HOSTILE: dict[str, Callable[[int], str]] = {
    "blanks in headings": lambda n: _LINE + ("## Phase 1: x" + " " * 1980 + "y\n") * n,
    "epochs": lambda n: "".join(f"Epoch {i} complete. Avg Loss: 7.0\n" for i in range(10 * n)),
    "resets": lambda n: "".join(f"Epoch {i % 9} complete. Avg Loss: 7\n" for i in range(n)),
    "evaluations": lambda n: _LINE + "Evaluation (Epoch 3 @ T)\nTop-10 Accuracy: 1/10\n" * n,
    "open brackets": lambda n: _LINE + ("evaluation (epoch 1 @ " * 90 + "\n") * n,
    "digits": lambda n: _LINE + ("from " + "9" * 1990 + "\n") * n,
    "rates": lambda n: _LINE + ("lr " * 660 + "\n") * n,
    "epochs without a loss": lambda n: _LINE + ("epoch 1 " * 250 + "\n") * n,
    "results": lambda n: _LINE + ("Evaluation (Epoch 3 @ T)" + "top-1 " * 330 + "\n") * n,
    "words": lambda n: _TITLED + ("shared" + "." * 1990 + "\n") * n,
    "notes": lambda n: _TITLED + "- **Observation:** loss 7 flat\n" * n,
    "one line": lambda n: _LINE + "epoch 1 loss " * 1000 * n,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_the_work_is_linear_in_the_length_of_a_log(kind: str) -> None:
    def read(text: str) -> object:
        return read_plain_log(text, "x", Meaning(keys=32))

    assert growth(read, HOSTILE[kind], 40) < 10


@pytest.mark.parametrize(
    "lines",
    [
        f"Evaluation (Epoch {'9' * 400} @ Toy)\nTop-10 Accuracy: 1/10\n",
        f"Evaluation (Epoch 3 @ Toy)\nTop-10 Accuracy: {'9' * 400}/10\n",
        f"Evaluation (Epoch 3 @ Toy)\nTop-{'9' * 400} Accuracy: 1/10\n",
        f"Evaluation (Epoch 3 @ Toy)\nTop-10 Accuracy: 1/{'9' * 400}\n",
        "Evaluation (Epoch 3 @ Toy)\nTop-10 Accuracy: 11/10\n",
        f"Epoch {'9' * 400} complete. Avg Loss: 1\n",
        f"Epoch 2 complete. Avg Loss: {'9' * 400}\n",
        "Epoch 2 complete. Avg Loss: 1e999\n",
        f"## Phase {'9' * 400}: a (Epochs 1-2)\n",
        f"## Phase 1: a (Epochs 1-{'9' * 400})\n",
        f"## Phase 1: a (Epochs {'9' * 1900}-2)\n",
        "Epoch 2 loss 3, lr from " + "9" * 400 + " to 1e-999\n",
        "**a**: b\n" * 30_000,
    ],
)
def test_absurd_numbers_are_no_figures(lines: str) -> None:
    events = read_plain_log(_LINE + lines, "x", Meaning(keys=32, steps_per_epoch=1_000_000))
    assert not any(isinstance(event, Eval) for event in events)
    for event in events:
        assert decode(encode(event)) == event


@pytest.mark.parametrize(
    "lines", ["Epoch 1 loss: 7\n" * 100_001, "Epoch 1 loss 7\nEpoch 0 loss 7\n" * 300]
)
def test_a_log_with_more_epochs_or_phases_than_a_run_has_is_refused(lines: str) -> None:
    with pytest.raises(InputError, match="at most 100,000 in 200 are read"):
        read_plain_log(lines, "x", Meaning())


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=9),
    st.lists(st.integers(0, 40), max_size=30),
)
def test_an_epoch_is_of_the_first_phase_that_holds_it(
    spans: list[tuple[int, int]], numbers: list[int]
) -> None:
    log = "".join(f"## Phase {i}: p{i} (Epochs {a}-{b})\n" for i, (a, b) in enumerate(spans))
    log += "".join(f"Epoch {n} loss: {n}.5\n" for n in numbers)
    if not numbers:
        return
    phases = sorted(((a, b, f"p{i}") for i, (a, b) in enumerate(spans)), key=lambda phase: phase[0])
    first = 0 if {0, *(a for a, *_ in phases)} & set(numbers) else 1
    expected = {
        n: next((name for a, b, name in phases if a - first < n + 1 - first <= b), None)
        for n in numbers
    }
    title, found = "", dict[int, str]()
    for event in read_plain_log(log, "x", Meaning()):
        if isinstance(event, Segment):
            title = event.title
        elif isinstance(event, Epoch):
            found[event.epoch] = title
    assert found == {n: name for n, name in expected.items() if name}
