"""Runs whose end moves under a stable rate with a decay, and runs that branch off before it."""

import math
import signal
from pathlib import Path

import pytest

from cli.start import planned_resume
from tests.helpers.training import history_of, losses, new_run
from tmssl.config import read_config, write_config
from tmssl.runs.checkpoints import find_checkpoint, list_checkpoints, read_sidecar
from tmssl.runs.events import Epoch
from tmssl.runs.folder import Run
from tmssl.runs.journal import read_journal
from tmssl.runs.report import report
from tmssl.runs.resume_plan import ResumePlan
from tmssl.runs.schedule import planned_learning_rate
from tmssl.training import loop
from tmssl.training.loop import train
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

PER_EPOCH = 5
WSD: dict[str, object] = {"schedule": "wsd", "decay_epochs": 1.0, "keep_every": 0}


def extend(run: Run, epochs: int, *, restart: bool = False) -> ResumePlan:
    """Write down what `tmssl train --resume --epochs N` would, and train."""
    plan = planned_resume(run, {"train.epochs": epochs}, restart)
    assert plan is not None
    write_config(plan.config, run.config)
    assert train(run, SignalFlags()) == 0
    return plan


def stop_at(run: Run, step: int) -> None:
    """Train up to a step, and stop as a signal does."""
    flags = SignalFlags()
    real = loop.train_step

    def train_step(session: Session) -> float:
        lr = real(session)
        flags.stop = signal.SIGTERM if session.step == step else flags.stop
        return lr

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", train_step)
        assert train(run, flags) == 143


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Run:
    """A run that was planned for six epochs from its start."""
    run = new_run(tmp_path_factory.mktemp("planned"), pack, "planned", epochs=6, **WSD)
    assert train(run, SignalFlags()) == 0
    return run


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> tuple[Run, list[ResumePlan]]:
    """A run of two epochs that was extended to four after its end, and to six in its decay."""
    run = new_run(tmp_path_factory.mktemp("extended"), pack, "extended", epochs=2, **WSD)
    assert train(run, SignalFlags()) == 0
    first = planned_resume(run, {"train.epochs": 4})
    assert first is not None
    write_config(first.config, run.config)
    stop_at(run, 17)
    return run, [first, extend(run, 6)]


def test_a_run_extended_twice_is_bitwise_the_run_that_was_planned_so(
    planned: Run, extended: tuple[Run, list[ResumePlan]]
) -> None:
    run, plans = extended
    assert losses(run) == losses(planned)
    assert [(plan.step, plan.jump, plan.undone) for plan in plans] == [(5, 1, 1), (15, 1, 0.4)]
    history = history_of(run)
    assert [(s.step, s.lr_before, s.lr_after) for s in history.segments[1:]] == [
        (5, 0.05, 0.05),
        (15, 0.05, 0.05),
    ]
    optim = read_config(run.config).optim
    for step in history.steps:
        expected = planned_learning_rate(step.step - 1, optim, steps_per_epoch=PER_EPOCH, epochs=6)
        assert step.lr == pytest.approx(expected, abs=1e-12)


def test_what_an_extension_undoes_is_kept_and_told(
    planned: Run, extended: tuple[Run, list[ResumePlan]]
) -> None:
    run, _ = extended
    kept = {name: sidecar.step for name, sidecar in list_checkpoints(run).items()}
    assert kept["stable"] == 25
    assert kept["decayed-0002"] == 10
    assert kept["decayed-0003"] == 17
    assert find_checkpoint(run).name == "last.pt"
    told = [f.text for f in history_of(run).findings if f.code == "decay-undone"]
    assert [text.rpartition("kept as ")[2] for text in told] == ["decayed-0002", "decayed-0003"]
    words = report(history_of(planned), "planned", alive=False)
    assert "stable 5.00e-02 up to epoch 5, and falls from there to 1.00e-06 at epoch 6" in words


def test_best_is_the_lowest_loss_that_the_run_ever_had_an_undone_decay_included(
    extended: tuple[Run, list[ResumePlan]],
) -> None:
    run, _ = extended
    epochs = [event for event in read_journal(run.journal) if isinstance(event, Epoch)]
    lowest = min(epochs, key=lambda epoch: epoch.loss or math.inf)
    best = list_checkpoints(run)["best"]
    assert (best.step, best.best) == (lowest.step, lowest.loss)


@pytest.mark.slow
def test_a_run_killed_after_it_went_back_does_not_return_to_the_undone_end(
    tmp_path: Path, pack: Path, planned: Run
) -> None:
    run = new_run(tmp_path, pack, "killed", epochs=2, **WSD)
    assert train(run, SignalFlags()) == 0
    plan = planned_resume(run, {"train.epochs": 6})
    assert plan is not None
    write_config(plan.config, run.config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", lost)
        with pytest.raises(MemoryError):
            train(run, SignalFlags())
    again = planned_resume(run, {})
    assert again is not None
    assert (again.step, again.undone) == (5, 0)
    assert train(run, SignalFlags()) == 0
    assert losses(run) == losses(planned)
    assert read_sidecar(find_checkpoint(run)).step == 30


def lost(_: Session) -> float:
    raise MemoryError


@pytest.mark.slow
def test_a_stop_in_the_decay_goes_on_in_it(tmp_path: Path, pack: Path) -> None:
    undisturbed = new_run(tmp_path, pack, "undisturbed", epochs=3, **WSD)
    train(undisturbed, SignalFlags())
    run = new_run(tmp_path, pack, "stopped", epochs=3, **WSD)
    stop_at(run, 12)
    plan = extend(run, 3)
    assert (plan.step, plan.jump, plan.back_words) == (12, 1, "")
    assert losses(run) == losses(undisturbed)


@pytest.mark.slow
def test_a_restarted_schedule_goes_on_where_the_decay_was(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, "restarted", epochs=2, **WSD)
    train(run, SignalFlags())
    plan = extend(run, 4, restart=True)
    assert (plan.step, plan.lr_after, plan.back_words) == (10, 0.05, "")
    assert [segment.step for segment in history_of(run).segments] == [0, 10]


def test_without_a_checkpoint_from_before_the_decay_the_jump_is_told(
    tmp_path: Path, pack: Path
) -> None:
    run = new_run(tmp_path, pack, "lost", epochs=2, **WSD)
    train(run, SignalFlags())
    for name in ("stable", "previous", "best"):
        (run.checkpoints / f"{name}.pt").unlink(missing_ok=True)
    plan = planned_resume(run, {"train.epochs": 4})
    assert plan is not None
    assert plan.step == 10
    assert "no checkpoint from before it is left" in plan.back_words
    assert 1 < plan.jump < math.inf
