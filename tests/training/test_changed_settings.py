"""Runs that go on with other settings, go back to a checkpoint, or were left in the wrong moment."""

import shutil
import signal
import statistics
from pathlib import Path

import pytest

from cli.start import planned_resume
from tests.helpers.models import poison_gradients
from tests.helpers.training import history_of, new_run
from tmssl.config import changed, read_config, write_config
from tmssl.errors import PackError
from tmssl.runs.checkpoints import read_sidecar
from tmssl.runs.folder import Run
from tmssl.runs.history import state
from tmssl.runs.resume_plan import plan_resume
from tmssl.training import loop
from tmssl.training.loop import train
from tmssl.training.session import Session
from tmssl.training.signals import SignalFlags

PER_EPOCH = 5


def again(run: Run, **settings: object) -> None:
    """Change a run's settings, as a resume does."""
    write_config(changed(read_config(run.config), settings), run.config)


def train_until(run: Run, step: int) -> None:
    """Train up to a step, and stop as a signal does."""
    flags = SignalFlags()
    real = loop.train_step

    def train_step(session: Session) -> float:
        lr = real(session)
        if session.step == step:
            flags.stop = signal.SIGTERM
        return lr

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_step", train_step)
        assert train(run, flags) == 143


def test_the_precision_may_become_float16(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1)
    train(run, SignalFlags())
    again(run, epochs=2, precision="float16")
    assert train(run, SignalFlags()) == 0
    again(run, epochs=3, precision="float32")
    assert train(run, SignalFlags()) == 0
    assert history_of(run).step == 3 * PER_EPOCH


@pytest.mark.parametrize(
    ("settings", "steps"), [({"views": "published"}, range(8, 11)), ({"lr": 0.01}, range(6, 11))]
)
def test_an_epochs_mean_is_of_the_steps_whose_loss_means_the_same(
    tmp_path: Path, pack: Path, settings: dict[str, object], steps: range
) -> None:
    run = new_run(tmp_path, pack, views="mild")
    train_until(run, 7)
    again(run, **settings)
    train(run, SignalFlags())
    history = history_of(run)
    told = [step.loss for step in history.steps if step.step in steps and step.loss is not None]
    assert history.epochs[1].loss == pytest.approx(statistics.mean(told), rel=1e-5)
    best = min(e.loss for e in history.epochs[len(settings.keys() & {"views"}) :] if e.loss)
    assert read_sidecar(run.checkpoints / "best.pt").best == pytest.approx(best)


def test_a_run_goes_back_whatever_optimizer_its_checkpoint_had(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack)
    train_until(run, 7)
    again(run, optimizer="adamw", lr=1e-3)
    poison_gradients(monkeypatch, range(1, 4))
    assert train(run, SignalFlags()) == 0
    assert [(s.reason, s.step) for s in history_of(run).segments[1:]] == [
        ("resume", 7),
        ("rollback", 7),
    ]


def test_a_run_goes_back_without_the_weights_it_began_from(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = new_run(tmp_path, pack, epochs=1)
    train(source, SignalFlags())
    run = new_run(tmp_path, pack, init=str(source.path))
    train_until(run, 7)
    shutil.rmtree(source.path)
    poison_gradients(monkeypatch, range(1, 4))
    assert train(run, SignalFlags()) == 0
    assert history_of(run).segments[-1].reason == "rollback"


def test_what_a_rollback_does_is_told_and_the_epoch_keeps_its_first_part(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack)
    train_until(run, 7)
    poison_gradients(monkeypatch, range(1, 4))
    train(run, SignalFlags())
    history = history_of(run)
    found = [(f.code, f.step) for f in history.findings if f.level == "bad"]
    assert found == [("non-finite", 8), ("non-finite", 9), ("rollback", 10)]
    assert (
        "3 steps in a row up to step 10; training goes on from step 7" in history.findings[2].text
    )
    told = [step.loss for step in history.steps if 5 < step.step <= 10 and step.loss is not None]
    assert history.epochs[1].loss == pytest.approx(statistics.mean(told), rel=1e-5)


def test_a_rollback_within_a_re_warm_up_halves_where_that_begins(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, schedule="constant", warmup_epochs=0.0, epochs=3)
    train_until(run, 7)
    plan = plan_resume(
        read_config(run.config),
        {"lr": 0.01, "rewarm_steps": 200},
        step=7,
        steps_per_epoch=PER_EPOCH,
    )
    write_config(plan.config, run.config)
    poison_gradients(monkeypatch, range(1, 4))
    train(run, SignalFlags())
    back = history_of(run).segments[-1]
    assert back.reason == "rollback"
    assert back.lr_before is not None
    assert back.lr_after == pytest.approx(back.lr_before / 2)


def test_an_old_rate_is_the_one_the_checkpoint_was_trained_at(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, schedule="constant", warmup_epochs=0.0)
    train_until(run, 7)
    first = planned_resume(run, {"optim.lr": 0.001})
    assert first is not None
    write_config(first.config, run.config)  # and the trainer is killed before its next checkpoint
    second = planned_resume(run, {})
    assert second is not None
    assert (second.lr_before, second.lr_after) == (0.05, 0.001)
    assert second.changed == {"optim.lr": [0.05, 0.001]}
    train(run, SignalFlags())
    segment = history_of(run).segments[-1]
    assert (segment.lr_before, segment.lr_after) == (0.05, 0.001)
    assert segment.changed == second.changed


def test_a_refused_resume_leaves_a_finished_run_finished(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1)
    train(run, SignalFlags())
    before = run.journal.read_bytes()
    again(run, epochs=2, **{"data.pack": str(tmp_path)})
    with pytest.raises(PackError):
        train(run, SignalFlags())
    assert run.journal.read_bytes() == before
    assert state(history_of(run), alive=False) == "finished"
