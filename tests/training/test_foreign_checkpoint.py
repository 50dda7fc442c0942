"""Checkpoints that are not those of a run's config.toml, as after a mixed-up copy."""

from pathlib import Path

import pytest

from tests.helpers.training import draw_pack, new_run
from tmssl.config import changed, read_config, write_config
from tmssl.errors import CheckpointError
from tmssl.runs.folder import Run
from tmssl.training.loop import train
from tmssl.training.signals import SignalFlags


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, pack: Path) -> Run:
    run = new_run(tmp_path_factory.mktemp("fixed"), pack, epochs=1)
    train(run, SignalFlags())
    return run


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", 7, r"train\.seed = 0 and config\.toml says 7"),
        ("model.name", "resnet10t", r"model\.name = test_efficientnet and .* says resnet10t"),
        ("hidden", 64, r"model\.hidden = 32 and .* says 64"),
        ("batch_size", 4, r"train\.batch_size = 8 and .* says 4"),
    ],
)
def test_a_checkpoint_of_other_fixed_settings_is_refused_with_both_values(
    trained: Run, name: str, value: object, said: str
) -> None:
    before = read_config(trained.config), trained.journal.read_bytes()
    write_config(changed(before[0], {name: value, "epochs": 9}), trained.config)
    with pytest.raises(CheckpointError, match=said):
        train(trained, SignalFlags())
    assert trained.journal.read_bytes() == before[1]
    write_config(before[0], trained.config)


def test_a_checkpoint_of_other_images_is_refused(trained: Run, tmp_path: Path) -> None:
    before = read_config(trained.config)
    other = draw_pack(tmp_path / "other", 32)
    write_config(changed(before, {"data.pack": str(other), "epochs": 9}), trained.config)
    with pytest.raises(CheckpointError, match="other images than this run was trained on"):
        train(trained, SignalFlags())
    write_config(before, trained.config)
