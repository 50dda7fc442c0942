"""A traced encoder computes what the encoder does, and nothing but torch's operations."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save
from torch import Tensor, nn

from tmssl.config import ModelConfig
from tmssl.errors import InputError
from tmssl.retrieval.search.traced_encoder import (
    FORMAT,
    UntraceableError,
    load_traced_encoder,
    trace_encoder,
)
from tmssl.training.encoder.backbone import create_encoder
from tmssl.training.encoder.grid import GridEncoder


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext"])
def test_it_computes_what_the_encoder_does(tmp_path: Path, name: str) -> None:
    encoder = timm.create_model(name, num_classes=0).eval()
    size = encoder.default_cfg["input_size"][1]
    path = tmp_path / "e"
    path.write_bytes(trace_encoder(encoder, size))
    traced = load_traced_encoder(path)
    for seed in range(2):
        view = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            assert torch.equal(traced(view), encoder(view))


def test_it_computes_what_the_default_encoder_does(tmp_path: Path) -> None:
    encoder = create_encoder(ModelConfig(init="none", features="grid", whiten=16)).eval()
    assert isinstance(encoder, GridEncoder)
    for stage in encoder.grids:
        assert stage.axes is not None
        stage.axes.normal_(generator=torch.Generator().manual_seed(0))
    path = tmp_path / "e"
    path.write_bytes(trace_encoder(encoder, 96))
    view = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(load_traced_encoder(path)(view), encoder(view))


class InputDependent(nn.Module):
    """An encoder whose operations depend on its input."""

    def forward(self, view: Tensor) -> Tensor:
        return view.mean((2, 3)) if view.sum() > 0 else view.amax((2, 3))


def test_an_encoder_whose_operations_depend_on_its_input_is_refused() -> None:
    with pytest.raises(UntraceableError):
        trace_encoder(InputDependent(), 32)


def test_damage_is_told(tmp_path: Path) -> None:
    path = tmp_path / "e"
    path.write_bytes(trace_encoder(timm.create_model("test_efficientnet", num_classes=0), 32))
    whole = path.read_bytes()
    for content in (b"", b"oops", whole[:-9], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"is damaged .*; remove it and search again"):
            load_traced_encoder(path)
    with pytest.raises(InputError, match="is damaged"):
        load_traced_encoder(tmp_path / "none")


@pytest.mark.parametrize("operation", ["os.system", "from_file.nothing", "__class__.x", "load", ""])
def test_a_file_cannot_name_anything_but_an_operation(tmp_path: Path, operation: str) -> None:
    path = tmp_path / "e"
    metadata = {
        "format": FORMAT,
        "image": "x",
        "result": "y",
        "steps": json.dumps([("y", operation, [], {})]),
    }
    path.write_bytes(save({"w": torch.zeros(1)}, metadata=metadata))
    with pytest.raises(InputError, match="is damaged"):
        load_traced_encoder(path)


def test_a_file_cannot_make_an_operation_open_another(tmp_path: Path) -> None:
    path = tmp_path / "e"
    steps = json.dumps([("y", "from_file.default", ["/etc/passwd"], {})])
    metadata = {"format": FORMAT, "image": "x", "result": "y", "steps": steps}
    path.write_bytes(save({"w": torch.zeros(1)}, metadata=metadata))
    with pytest.raises(InputError, match="from_file works on files"):
        load_traced_encoder(path)(torch.zeros(1))


@pytest.mark.parametrize(
    "steps",
    [
        "5",
        "[5]",
        "[[1, 2]]",
        '[["a", "relu.default", 5, {}]]',
        '[["a", "relu.default", [{"of": "nothing"}], {}]]',
        '[["a", "relu.default", [1e308], {}]]',
        '[["a", "relu.default", [{"fixed": 5}], {}]]',
        '[["a", "relu.default", [{}], {}]]',
        '[["a", "zeros.default", [[-1]], {}]]',
        '[["a", "zeros.default", [[9007199254740991]], {}]]',
        '[["y", "relu.default", [{"of": "x"}], {"no": 1}]]',
        '[["y", "relu.default", [{"of": "x"}], {}]]',
        "[]",
    ],
)
def test_steps_that_fit_nothing_are_one_line(tmp_path: Path, steps: str) -> None:
    metadata = {"format": "1", "image": "x", "result": "y", "steps": steps}
    (tmp_path / "e").write_bytes(save({"w": torch.ones(1)}, metadata=metadata))
    with pytest.raises(InputError) as told:
        load_traced_encoder(tmp_path / "e")(torch.ones(1, 3, 8, 8))
    assert len(str(told.value).splitlines()) == 1
