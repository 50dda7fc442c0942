"""Runs that go on from a damaged checkpoint, in float16, and under their plan of the momentum."""

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.marks import draw_marks
from tmssl.config import Config, changed, read_config, write_config
from tmssl.data.pack.builder import build_pack
from tmssl.data.pack.cache import pack_size
from tmssl.data.sources.catalogue import read_catalogue
from tmssl.runs.folder import Run, create_run
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import read_journal
from tmssl.runs.schedule import momentum
from tmssl.training import loop
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags

PER_EPOCH = 5


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("going-on")
    catalogue = read_catalogue(draw_marks(folder / "source", 8 * PER_EPOCH))
    return build_pack(catalogue, folder / "pack", pack_size(32)).folder


def new_run(folder: Path, pack: Path, name: str, **settings: object) -> Run:
    run = create_run(folder / "runs", name, latest=False)
    tiny = {
        "data.pack": str(pack),
        "model.name": "test_efficientnet",
        "hidden": 32,
        "dimensions": 16,
        "image_size": 32,
        "batch_size": 8,
        "epochs": 3,
        "log_every": 1,
        "deterministic": True,
        "device": "cpu",
        "lr": 0.05,
        "warmup_epochs": 0.5,
    }
    write_config(changed(Config(), {**tiny, **settings}), run.config)
    return run


def history_of(run: Run) -> History:
    return read_history(read_journal(run.journal))


def losses(run: Run) -> list[tuple[int, float | None]]:
    return [(step.step, step.loss) for step in history_of(run).steps]


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
