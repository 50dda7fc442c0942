"""Initial weights from what other trainings save: prefixes, nests, averages, old files, wrong models."""

import argparse
import collections
import functools
import pathlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tmssl.errors import ConfigError
from tmssl.training.encoder import foreign_weights
from tmssl.training.encoder.foreign_weights import load_weights, read_weights
from tmssl.training.encoder.weights import create_trunk

State = dict[str, Tensor]
NAME = "resnet10t"


@functools.cache
def model(name: str = NAME) -> nn.Module:
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=0)


@functools.cache
def right() -> State:
    """The weights that are to be found."""
    return {key: value.clone() for key, value in model().state_dict().items()}


def wrong() -> State:
    """Weights of the same model that are not to be taken."""
    return {key: torch.zeros_like(value) for key, value in right().items()}


def under(prefix: str, state: State | None = None) -> State:
    return {prefix + key: value for key, value in (right() if state is None else state).items()}


def numbered(names: list[str]) -> State:
    """The weights as nn.Sequential of a model's layers names them."""
    numbers = {name: str(number) for number, name in enumerate(names)}
    return {
        ".".join([numbers[key.partition(".")[0]], key.partition(".")[2]]): value
        for key, value in right().items()
    }


def projector(prefix: str) -> State:
    return {f"{prefix}{n}.weight": torch.zeros(7, 7) for n in (0, 3)}


CHILDREN = [name for name, _ in model().named_children()]
WITH_WEIGHTS = [name for name, child in model().named_children() if child.state_dict()]
FOUND: dict[str, tuple[Any, str]] = {
    "plain": (right(), ""),
    "classifier of another width": ({**right(), "fc.weight": torch.zeros(9, 512)}, ""),
    "moco": (
        {
            "epoch": 200,
            "arch": NAME,
            "state_dict": {
                **under("module.encoder_k.", wrong()),
                **under("module.encoder_q."),
                **projector("module.encoder_q.fc."),
                "module.queue": torch.zeros(128, 9),
            },
            "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": []},
        },
        "state_dict.module.encoder_q.",
    ),
    "moco v3": (
        {
            "state_dict": {
                **under("module.momentum_encoder.", wrong()),
                **under("module.base_encoder."),
                **projector("module.base_encoder.fc."),
                **projector("module.predictor."),
            }
        },
        "state_dict.module.base_encoder.",
    ),
    "dino": (
        {
            "student": {**under("module.backbone.", wrong()), **projector("module.head.mlp.")},
            "teacher": {**under("backbone."), **projector("head.mlp.")},
            "epoch": 100,
            "args": argparse.Namespace(arch=NAME, lr=0.1, data=None),
        },
        "teacher.backbone.",
    ),
    "solo-learn": (
        {
            "state_dict": {
                **under("momentum_backbone.", wrong()),
                **under("backbone."),
                **projector("projector."),
                "classifier.weight": torch.zeros(10, 512),
            },
            "hyper_parameters": {"method": "byol"},
        },
        "state_dict.backbone.",
    ),
    "lightly": (
        {"state_dict": {**under("backbone.", numbered(CHILDREN)), **projector("projection_head.")}},
        "state_dict.backbone.",
    ),
    "lightly's own resnet": (
        under("backbone.", numbered(WITH_WEIGHTS)),
        "backbone.",
    ),
    "lightly's momentum": (
        {**under("backbone_momentum.", wrong()), **under("backbone.")},
        "backbone.",
    ),
    "lightning": (
        {"state_dict": under("model.net.encoder."), "loops": {}},
        "state_dict.model.net.encoder.",
    ),
    "compiled": (under("_orig_mod."), ""),
    "compiled in ddp": ({"model": under("module._orig_mod.")}, "model.module."),
    "ddp in compiled": ({"model": under("_orig_mod.module.")}, "model.module."),
    "blocks compiled alone": (
        {key.replace("layer1.", "layer1._orig_mod."): value for key, value in right().items()},
        "",
    ),
    "state dict in a model": (
        {"model": {"state_dict": under("module.")}},
        "model.state_dict.module.",
    ),
    "byol": (
        {**under("target_encoder.net.", wrong()), **under("online_encoder.net.")},
        "online_encoder.net.",
    ),
    "timm's average": ({"state_dict": wrong(), "state_dict_ema": right()}, "state_dict_ema."),
    "timm's training": (
        {
            "epoch": 7,
            "arch": NAME,
            "state_dict": right(),
            "args": argparse.Namespace(model=NAME, opt_betas=[0.9, 0.99], drop=0.0),
            "version": 2,
            "metric": 71.2,
        },
        "state_dict.",
    ),
    "average in ddp": (
        {"model": under("module.", wrong()), "model_ema": under("module.")},
        "model_ema.module.",
    ),
    "half precision": ({key: value.half() for key, value in right().items()}, ""),
    "bfloat16": ({"model": {k: v.bfloat16() for k, v in right().items()}}, "model."),
    "channels last": (
        {
            key: value.contiguous(memory_format=torch.channels_last) if value.ndim == 4 else value
            for key, value in right().items()
        },
        "",
    ),
    "parameters": (
        {
            k: nn.Parameter(v, v.is_floating_point()) if v.is_floating_point() else v
            for k, v in right().items()
        },
        "",
    ),
    "ordered": (collections.OrderedDict(under("encoder.")), "encoder."),
}  # fmt: skip - a table: one line a file


@pytest.mark.parametrize("kind", FOUND)
def test_the_encoder_of_every_training_is_found(tmp_path: Path, kind: str) -> None:
    content, prefix = FOUND[kind]
    path = tmp_path / "w.pth.tar"
    torch.save(content, path)
    module = timm.create_model(NAME, num_classes=0)
    told: list[str] = []
    load_weights(module, read_weights(path), NAME, str(path), told.append)
    for key, value in module.state_dict().items():
        tolerance = 1e-2 if kind in ("half precision", "bfloat16") else 0.0
        torch.testing.assert_close(value, right()[key], rtol=tolerance, atol=tolerance)
    assert ("".join(told).count(f"under '{prefix}' are taken") == 1) == bool(prefix), told
    others = kind in ("moco", "moco v3", "dino", "solo-learn", "byol", "timm's average") or (
        kind in ("lightly's momentum", "average in ddp")
    )
    assert ("not those under" in "".join(told)) == others
    assert ("by their order" in "".join(told)) == kind.startswith("lightly") or "momentum" in kind


@pytest.mark.parametrize("prefix", ["", "module.", "teacher.backbone."])
def test_counters_alone_may_be_missing(prefix: str) -> None:
    old = {k: v for k, v in under(prefix).items() if not k.endswith("num_batches_tracked")}
    module = timm.create_model(NAME, num_classes=0)
    told: list[str] = []
    load_weights(module, old, NAME, "old.pth", told.append)
    assert torch.equal(module.state_dict()["bn1.weight"], right()["bn1.weight"])
    assert "no num_batches_tracked" in told[0]
    for lost in ("bn1.running_var", "layer4.0.bn2.bias"):
        fewer = {key: value for key, value in old.items() if key != prefix + lost}
        with pytest.raises(ConfigError, match=f"lacks 1 weight, such as {lost}"):
            load_weights(module, fewer, NAME, "old.pth")


@given(
    words=st.lists(
        st.sampled_from(
            ["module", "model", "encoder_q", "teacher", "backbone", "net", "_orig_mod", "0"]
        ),
        max_size=5,
    )
)
@settings(max_examples=25)
def test_any_nest_of_prefixes_is_found(words: list[str]) -> None:
    prefix = "".join(f"{word}." for word in words)
    content: dict[str, Any] = dict(under(prefix))
    for word in words[:3]:
        content = {word: content, "epoch": 3}
    module = timm.create_model(NAME, num_classes=0)
    load_weights(module, foreign_weights._flat(content), NAME, "w.pth")
    assert torch.equal(module.state_dict()["conv1.0.weight"], right()["conv1.0.weight"])


def safetensors_file(path: Path) -> None:
    safetensors.torch.save_file(under("module.encoder."), path)


def test_safetensors_files_have_prefixes_too(tmp_path: Path) -> None:
    safetensors_file(tmp_path / "w.safetensors")
    encoder = create_trunk(NAME, str(tmp_path / "w.safetensors"))
    assert torch.equal(encoder.state_dict()["bn1.weight"], right()["bn1.weight"])


def test_a_vision_transformer_of_dino_is_found() -> None:
    name = "vit_tiny_patch16_224"
    state = model(name).state_dict()
    content = {"teacher": under("backbone.", state), "student": under("module.backbone.", state)}
    module = timm.create_model(name, num_classes=0)
    load_weights(module, foreign_weights._flat(content), name, "dino.pth")
    assert torch.equal(module.state_dict()["pos_embed"], state["pos_embed"])
    cut = {**state, "pos_embed": state["pos_embed"][:, :50]}
    with pytest.raises(ConfigError, match=r"pos_embed: \(1, 50, 192\) there, \(1, 197, 192\) here"):
        load_weights(module, cut, name, "dino.pth")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: {"a.b": torch.zeros(2)}, "has none of the 70 weights .* such as 'a.b'"),
        (dict, "holds no tensor under a name"),
        (
            lambda: under("m.", dict(model("resnet14t").state_dict())),
            r"19 weights of another shape, .*\(64, 64, 1, 1\) there.* --model resnet14t",
        ),
        (lambda: under("x.", dict(model("resnet18").state_dict())), "they are those of resnet18"),
        (
            lambda: {**right(), "bn1.bias": torch.full_like(right()["bn1.bias"], torch.nan)},
            "NaN or infinite weights, such as bn1.bias",
        ),
        (
            lambda: {**right(), "layer1.0.bn1.weight": torch.zeros(65)},
            r"another shape, such as layer1.0.bn1.weight: \(65,\) there, \(64,\) here",
        ),
    ],
)
def test_the_real_reason_and_the_nearest_model_are_told(
    change: Callable[[], Mapping[str, Tensor]], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load_weights(timm.create_model(NAME, num_classes=0), change(), NAME, "w.pth")


def test_weights_of_a_deeper_model_are_refused() -> None:
    deeper = under("module.", dict(model("resnet34").state_dict()))
    with pytest.raises(ConfigError, match=r"deeper model: \d+ weights more.* --model resnet34"):
        load_weights(timm.create_model("resnet18", num_classes=0), deeper, "resnet18", "w.pth")


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("run",))


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (pathlib.PurePosixPath("x"), "pathlib.PurePosixPath"),
        (Evil(), "print"),
        (argparse.Namespace(path=pathlib.PurePosixPath("x")), "pathlib.PurePosixPath"),
        (collections.UserDict(), "collections.UserDict"),
    ],
)
def test_no_other_type_is_unpickled(
    tmp_path: Path, extra: object, named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": right(), "args": extra}, tmp_path / "w.pth")
    with pytest.raises(ConfigError, match=rf"holds a .*{named}.*save its weights alone"):
        read_weights(tmp_path / "w.pth")
    assert capfd.readouterr().out == ""


def test_old_files_and_programs_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"state_dict": right()}, path, _use_new_zipfile_serialization=False)
    load_weights(timm.create_model(NAME, num_classes=0), read_weights(path), NAME, "w.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch recommends torch.export
        torch.jit.script(nn.Linear(2, 2)).save(path)  # type: ignore[no-untyped-call]  # torch.jit has no types
    with pytest.raises(ConfigError, match="is a TorchScript program"):
        read_weights(path)
    deep: dict[str, Any] = {"conv1": torch.zeros(1)}
    for _ in range(300):
        deep = {"x": deep}
    assert foreign_weights._flat(deep) == {}
