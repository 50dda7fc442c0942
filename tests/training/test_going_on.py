"""Runs that go on from a damaged checkpoint, in float16, and under their plan of the momentum."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import training
from tests.helpers.training import draw_pack, history_of, losses
from tmssl.config import changed, read_config, write_config
from tmssl.runs.folder import Run
from tmssl.runs.schedule import momentum
from tmssl.training import loop
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

PER_EPOCH = 5


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_pack(tmp_path_factory.mktemp("going-on"), 8 * PER_EPOCH)


def new_run(folder: Path, pack: Path, name: str, **settings: object) -> Run:
    return training.new_run(folder, pack, name, **{"epochs": 3, **settings})


@pytest.mark.parametrize("part", ["head", "middle", "tail"])
def test_a_run_whose_last_checkpoint_has_a_flipped_byte_goes_on_from_the_one_before(
    tmp_path: Path, pack: Path, part: str
) -> None:
    undisturbed = new_run(tmp_path, pack, "undisturbed")
    train(undisturbed, SignalFlags())
    run = new_run(tmp_path, pack, "flipped", epochs=2)
    train(run, SignalFlags())
    last = run.checkpoints / "last.pt"
    content = bytearray(last.read_bytes())
    content[{"head": 10, "middle": len(content) // 2, "tail": len(content) - 10}[part]] ^= 1
    last.write_bytes(content)
    write_config(changed(read_config(run.config), {"epochs": 3}), run.config)
    assert train(run, SignalFlags()) == 0
    assert [segment.step for segment in history_of(run).segments] == [0, PER_EPOCH]
    after = losses(run)
    assert [step for step, _ in after] == list(range(1, 3 * PER_EPOCH + 1))
    # Under the plan of three epochs throughout, as the undisturbed run had from its beginning.
    again = [step.lr for step in history_of(run).steps][PER_EPOCH:]
    assert again == [step.lr for step in history_of(undisturbed).steps][PER_EPOCH:]


def test_a_scaler_goes_on_where_it_was(
    tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = new_run(tmp_path, pack, "undisturbed", precision="float16")
    train(undisturbed, SignalFlags())
    stopped, flags = new_run(tmp_path, pack, "stopped", precision="float16"), SignalFlags()
    real = loop.train_step

    def step(session: Any) -> float:
        lr = real(session)
        flags.stop = signal.SIGTERM if session.step == 7 else None
        return lr

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        assert train(stopped, flags) == 143
    assert train(stopped, SignalFlags()) == 0
    assert losses(stopped) == losses(undisturbed)
    # A scaler that halves from 2^16 is no news, so no step of it is a finding.
    assert "non-finite" not in [finding.code for finding in history_of(stopped).findings]


def test_the_momentum_of_every_step_is_the_closed_form(tmp_path: Path, pack: Path) -> None:
    run = new_run(tmp_path, pack, "momentum", **{"optim.momentum": 0.9})
    train(run, SignalFlags())
    for step in history_of(run).steps:
        expected = momentum(step.step - 1, total_steps=3 * PER_EPOCH, start=0.9)
        assert step.momentum == pytest.approx(expected, abs=1e-12)
