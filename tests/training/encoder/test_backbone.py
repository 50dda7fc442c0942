from pathlib import Path

import pytest
import safetensors.torch
import torch

from tmssl.errors import CheckpointError, ConfigError
from tmssl.training.checkpoints.store import load_payload
from tmssl.training.encoder import foreign_weights
from tmssl.training.encoder.backbone import feature_count
from tmssl.training.encoder.weights import create_trunk


@pytest.mark.parametrize("name", ["test_efficientnet", "mobilenetv3_small_050", "test_vit"])
def test_features_are_as_wide_as_they_say(name: str) -> None:
    encoder = create_trunk(name).eval()
    size = 160 if name == "test_vit" else 32
    assert encoder(torch.zeros(2, 3, size, size)).shape == (2, feature_count(encoder))


def test_the_default_has_the_1280_features_it_is_known_for() -> None:
    assert feature_count(create_trunk("efficientnet_b0")) == 1280


@pytest.mark.parametrize("wrap", [True, False])
def test_weights_come_from_a_checkpoint_or_a_state_dict(
    tmp_path: Path, wrap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign_weights, "_SEARCH_S", 0.0)  # for the nearest model
    torch.manual_seed(1)
    state = create_trunk("test_efficientnet").state_dict()
    held = {"encoder": state} if wrap else {**state, "classifier.weight": torch.zeros(3, 3)}
    torch.save(held, tmp_path / "w.pt")
    loaded = create_trunk("test_efficientnet", str(tmp_path / "w.pt")).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())
    with pytest.raises(ConfigError, match="give weights of the same model"):
        create_trunk("resnet10t", str(tmp_path / "w.pt"))


def test_bad_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no file"):
        create_trunk("test_efficientnet", "nowhere.pt")


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"",
        b"sha256 abc",
        b"<!DOCTYPE html><html>",
        b"404: Not Found",
        b"\0" * 600,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:ab",
        b"path,vienna\na.png,26.01\n",
        b"PK\x03\x04" + b"\0" * 40,
        b"\x89PNG\r\n\x1a\n\0\0",
        b"[data]\nimage_size = 224\n",
    ],
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_file_of_no_weights_is_told_in_a_line(
    tmp_path: Path, content: bytes, suffix: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match="holds no weights, or is damaged; give a timm state dict"
    ):
        create_trunk("test_efficientnet", str(path))
    with pytest.raises(CheckpointError, match="is no checkpoint, or is damaged"):
        load_payload(path)


@pytest.mark.parametrize("kind", ["safetensors", "training checkpoint", "average", "data parallel"])
def test_weights_come_from_every_kind_of_file_that_timm_writes(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(1)
    state = create_trunk("test_efficientnet").state_dict()
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth.tar")
    if kind == "safetensors":
        safetensors.torch.save_file({**state, "classifier.weight": torch.zeros(3, 3)}, path)
    elif kind == "average":
        torch.save({"epoch": 3, "state_dict": other, "state_dict_ema": state}, path)
    elif kind == "data parallel":
        torch.save({f"module.{key}": value for key, value in state.items()}, path)
    else:
        torch.save({"epoch": 3, "arch": "test_efficientnet", "state_dict": state}, path)
    loaded = create_trunk("test_efficientnet", str(path)).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in state.items())


def test_a_damaged_safetensors_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").write_bytes(b"not one")
    with pytest.raises(ConfigError, match="holds no weights"):
        create_trunk("test_efficientnet", str(tmp_path / "w.safetensors"))


def test_a_model_that_timm_has_no_weights_for_is_told() -> None:
    with pytest.raises(ConfigError, match="timm has no weights for beit3_giant"):
        create_trunk("beit3_giant_patch14_224", "imagenet")
