import json
import math
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers.models import poison_gradients
from tests.helpers.training import TINY, history_of, losses, new_run
from tests.helpers.waiting import wait_for
from tmssl.config import Config, changed, read_config, write_config
from tmssl.errors import ConfigError, TrainingError
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.events import Checkpoint, End, Epoch, Segment, Started, Step
from tmssl.runs.folder import holder, is_alive
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.runs.launch import signal_trainer, start_trainer, wait_until_begun
from tmssl.runs.schedule import learning_rate
from tmssl.training import learner, moco
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

pytestmark = pytest.mark.timeout(300)  # some start a trainer, which loads torch


def test_a_run_writes_every_kind_of_event_and_finishes(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack)
    assert train(run, SignalFlags()) == 0
    events = read_journal(run.journal)
    assert isinstance(events[0], Started)
    assert events[0].counts["train"] == 40
    assert isinstance(events[1], Segment)
    assert isinstance(events[-1], End)
    assert events[-1].status == "finished"
    history = read_history(events)
    assert [step.step for step in history.steps] == list(range(1, 11))
    assert [epoch.epoch for epoch in history.epochs] == [1, 2]
    assert [c.reason for c in history.checkpoints] == ["epoch", "end"]
    assert {p.name for p in run.checkpoints.glob("*.pt")} >= {"last.pt", "best.pt", "previous.pt"}
    assert all(
        value is not None
        for value in (history.epochs[0].rank_me, history.epochs[0].alignment, history.steps[0].ce)
    )
    assert not is_alive(run)


def test_training_leaves_the_numerics_of_its_process_as_they_were(
    tmp_path: Path, pack: Path
) -> None:
    train(new_run(tmp_path, pack, epochs=1), SignalFlags())
    assert torch.tensor(1e-40).mul(1.0).item() > 0  # denormals are numbers again
    assert not torch.are_deterministic_algorithms_enabled()


def test_the_loss_and_its_chance_level_belong_together(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1)
    train(run, SignalFlags())
    history = history_of(run)
    segment = history.segments[0]
    assert segment.chance == pytest.approx(4 * 0.2 * math.log(8))
    assert segment.chance_ce == pytest.approx(math.log(8))
    for step in history.steps:
        assert step.loss is not None
        assert step.ce is not None
        assert step.loss == pytest.approx(4 * 0.2 * step.ce, rel=1e-5)


def test_every_learning_rate_equals_the_closed_form_across_a_resume(
    tmp_path: Path, pack: Path
) -> None:
    run = new_run(tmp_path, pack)
    train(run, SignalFlags())
    write_config(changed(Config(), {**TINY, "data.pack": str(pack), "epochs": 4}), run.config)
    train(run, SignalFlags())
    history = history_of(run)
    assert [segment.reason for segment in history.segments] == ["start", "resume"]
    assert history.segments[1].changed == {"train.epochs": [2, 4]}
    for step in history.steps:
        epochs = 2 if step.step <= 10 else 4
        expected = learning_rate(
            step.step - 1, steps_per_epoch=5, epochs=epochs, lr=0.05, min_lr=1e-6, warmup_epochs=0.5
        )
        assert step.lr == pytest.approx(expected, abs=1e-12)


def test_a_run_without_a_graceful_end_resumes_bitwise(tmp_path: Path, pack: Path) -> None:
    undisturbed = new_run(tmp_path, pack, epochs=3)
    train(undisturbed, SignalFlags())
    killed = new_run(tmp_path, pack, epochs=3)
    process = start_trainer(killed)
    wait_until_begun(killed, process, 0)
    wait_for(lambda: history_of(killed).step >= 7, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not is_alive(killed)
    assert train(killed, SignalFlags()) == 0
    assert losses(killed) == losses(undisturbed)


def test_sigterm_leaves_a_checkpoint_and_its_exit_code(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1000)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    found = holder(run)
    assert found is not None
    assert found.pid == process.pid
    signal_trainer(run, signal.SIGHUP)  # a closed terminal
    signal_trainer(run, signal.SIGUSR1)
    wait_for(lambda: any(c.reason == "signal" for c in history_of(run).checkpoints), process)
    signal_trainer(run, signal.SIGTERM)
    assert process.wait(timeout=120) == 143
    history = history_of(run)
    assert history.end is not None
    assert history.end.status == "stopped"
    last = history.checkpoints[-1]
    assert (last.reason, last.step) == ("stop", history.end.step)


def test_stopping_and_going_on_changes_no_loss(tmp_path: Path, pack: Path) -> None:
    undisturbed = new_run(tmp_path, pack, epochs=2)
    train(undisturbed, SignalFlags())
    stopped = new_run(tmp_path, pack, epochs=2)
    flags = SignalFlags()
    flags.stop = signal.SIGINT
    assert train(stopped, flags) == 130  # before the first step
    process = start_trainer(stopped)
    wait_until_begun(stopped, process, 1)
    signal_trainer(stopped, signal.SIGTERM)
    process.wait(timeout=120)
    assert train(stopped, SignalFlags()) == 0
    assert losses(stopped) == losses(undisturbed)


@pytest.mark.parametrize("chunk_size", [0, 3])
def test_chunks_change_memory_not_the_number_of_keys(
    tmp_path: Path, pack: Path, chunk_size: int
) -> None:
    run = new_run(tmp_path, pack, epochs=1, chunk_size=chunk_size)
    assert train(run, SignalFlags()) == 0
    assert history_of(run).segments[0].chance_ce == pytest.approx(math.log(8))


def test_a_second_trainer_cannot_have_the_run(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1000)
    process = start_trainer(run)
    wait_until_begun(run, process, 0)
    second = subprocess.run(
        [sys.executable, "-m", "tmssl.training", str(run.path)],
        capture_output=True,
        text=True,
        check=False,
    )
    process.terminate()
    process.wait(timeout=120)
    assert second.returncode == 2
    assert "is being trained already" in second.stderr
    assert "Traceback" not in second.stderr


def test_unknown_models_and_sizes_are_refused_by_name(tmp_path: Path, pack: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"no model 'efficientnet_b00' .did you mean 'efficientnet_b0"
    ):
        train(new_run(tmp_path, pack, **{"model.name": "efficientnet_b00"}), SignalFlags())
    with pytest.raises(ConfigError, match="32 px images"):
        train(new_run(tmp_path, pack, **{"model.name": "vit_tiny_patch16_224"}), SignalFlags())
    with pytest.raises(ConfigError, match="do not fill a batch of 64"):
        train(new_run(tmp_path, pack, batch_size=64), SignalFlags())


def test_a_sudden_end_of_the_journal_is_closed_not_lost(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, epochs=1)
    run.journal.write_bytes(b'{"kind":"step","step":3,"lo')
    train(run, SignalFlags())
    lines = run.journal.read_bytes().splitlines()
    assert lines[0] == b'{"kind":"step","step":3,"lo'
    assert all(json.loads(line) for line in lines[1:])


def test_gradients_that_stay_broken_end_the_run_after_rollbacks(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, epochs=1, min_lr=0.0, warmup_epochs=0.0)
    poison_gradients(monkeypatch, range(1, 1000))
    with pytest.raises(TrainingError, match=r"even at LR 1.56e-03, after 5 rollbacks"):
        train(run, SignalFlags())
    history = history_of(run)
    assert [s.reason for s in history.segments] == ["start", *["rollback"] * 5]
    assert {f.code for f in history.findings} >= {"non-finite"}
    assert history.end is not None
    assert history.end.status == "failed"


def test_a_burst_of_bad_gradients_goes_back_to_the_checkpoint_at_half_the_lr(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, epochs=3)
    poison_gradients(monkeypatch, range(7, 10))
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [(s.reason, s.step) for s in history.segments] == [("start", 0), ("rollback", 5)]
    assert history.segments[1].changed == {"optim.lr": [0.05, 0.025]}
    assert [f.step for f in history.findings if f.code == "non-finite"] == [7, 8]
    assert [f.step for f in history.findings if f.code == "rollback"] == [9]
    assert history.step == 15
    weights = load_payload(find_checkpoint(run))["encoder"]
    assert all(
        bool(tensor.isfinite().all()) for tensor in weights.values() if tensor.is_floating_point()
    )


def test_checkpoints_and_epochs_are_in_the_journal_in_order(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, keep_every=1)
    train(run, SignalFlags())
    writer = JournalWriter(run.journal)
    writer.close()
    kinds = [type(event) for event in read_journal(run.journal)]
    assert kinds.count(Checkpoint) == 2
    assert kinds.index(Epoch) < kinds.index(Checkpoint)
    assert kinds.count(Step) == 10
    assert (run.checkpoints / "epoch-0002.pt").exists()


def test_a_run_starts_from_the_weights_of_another_and_resumes_without_them(
    tmp_path: Path, pack: Path
) -> None:
    first = new_run(tmp_path, pack, epochs=1)
    train(first, SignalFlags())
    learnt = load_payload(find_checkpoint(first, "best"))["encoder"]
    second = new_run(tmp_path, pack, epochs=1, init=str(first.path))
    begun = learner.create_learner(read_config(second.config), torch.device("cpu"))
    assert all(
        torch.equal(value, learnt[k]) for k, value in begun.model.encoder.state_dict().items()
    )
    train(second, SignalFlags())
    shutil.rmtree(first.path)
    write_config(changed(read_config(second.config), {"epochs": 2}), second.config)
    assert train(second, SignalFlags()) == 0
    assert history_of(second).step == 10


def test_memory_that_runs_out_halves_the_chunk_and_keeps_the_keys(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, epochs=2)
    real = moco.MoCo.forward

    def small(self: moco.MoCo, view: torch.Tensor) -> Any:
        """The real pass, on a device that holds three images."""
        if len(view) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, view)

    monkeypatch.setattr(moco.MoCo, "forward", small)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    told = [f for f in history.findings if f.code == "out-of-memory"]
    assert [f.step for f in told] == [1]
    assert "with 8 images at once; going on with 2, still against all 8 keys" in told[0].text
    assert history.segments[0].chance_ce == pytest.approx(math.log(8))
    assert all(step.loss is not None for step in history.steps)
    write_config(changed(read_config(run.config), {"epochs": 3}), run.config)
    assert train(run, SignalFlags()) == 0
    assert history_of(run).segments[1].chunk_size == 2  # it is not learnt anew


def test_memory_for_not_even_two_images_is_a_clear_error(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: moco.MoCo, _view: torch.Tensor) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(moco.MoCo, "forward", full)
    with pytest.raises(TrainingError, match="out of memory with chunks of 2"):
        train(new_run(tmp_path, pack), SignalFlags())


def test_bad_gradients_between_two_logged_steps_are_found_at_the_second(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, pack, epochs=2, log_every=5)
    real, calls = moco.moco_step, [0]

    def poisoned(model: Any, first: Any, second: Any, **named: Any) -> Any:
        calls[0] += 1
        return real(model, first * (float("nan") if calls[0] in (2, 3) else 1), second, **named)

    monkeypatch.setattr(learner, "moco_step", poisoned)
    assert train(run, SignalFlags()) == 0
    history = history_of(run)
    assert [(f.code, f.step) for f in history.findings] == [("non-finite", 2), ("non-finite", 3)]
    assert all(step.loss is not None for step in history.steps)  # means of the good steps
    assert history.epochs[0].loss is not None
    state = load_payload(find_checkpoint(run))
    for name in ("encoder", "momentum_encoder", "projector", "momentum_projector"):
        assert all(bool(t.isfinite().all()) for t in state[name].values() if t.is_floating_point())


def test_an_epoch_that_was_interrupted_has_the_mean_of_all_its_steps(
    tmp_path: Path, pack: Path
) -> None:
    whole = new_run(tmp_path, pack, epochs=1)
    train(whole, SignalFlags())
    stopped = new_run(tmp_path, pack, epochs=1)
    flags, real, calls = SignalFlags(), moco.MoCo.update_momentum, [0]

    def counted(self: moco.MoCo, momentum: float) -> None:
        calls[0] += 1
        flags.stop = signal.SIGTERM if calls[0] == 3 else None
        real(self, momentum)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moco.MoCo, "update_momentum", counted)
        assert train(stopped, flags) == 143
    assert train(stopped, SignalFlags()) == 0
    assert history_of(stopped).epochs[0].loss == history_of(whole).epochs[0].loss
