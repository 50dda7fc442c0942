"""The backbone: any timm model without its classifier, and where its weights come from."""

from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import clean_state_dict, load_state_dict
from torch import nn

from tmssl.errors import ConfigError
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import open_run
from tmssl.text import nearest, safe
from tmssl.training.checkpoints.store import UNREADABLE, why_unreadable


def create_encoder(name: str, init: str = "") -> nn.Module:
    """A timm model from (n, 3, s, s) to pooled features (n, f).

    Args:
        name: any name of `timm.list_models()`.
        init: empty for random weights from torch's generator, `imagenet` for timm's weights from the
            hub, or a path as for `read_weights`.

    Raises:
        ConfigError: no such model, or its weights cannot be fetched, read or fitted.
    """
    if not timm.is_model(name):
        raise ConfigError(
            f"timm has no model '{safe(name)}'{nearest(name, timm.list_models())}; "
            "`python -c 'import timm; print(timm.list_models())'` lists them"
        )
    if init not in ("", "imagenet"):
        return _with_weights(create_encoder(name), name, Path(init))
    if init and not timm.get_pretrained_cfg(name).has_weights:
        raise ConfigError(f"timm has no weights for {safe(name)}; leave it out, or give a path")
    try:
        model: nn.Module = timm.create_model(name, pretrained=init == "imagenet", num_classes=0)
    except (OSError, RuntimeError) as error:
        if not init:
            raise ConfigError(f"timm cannot make {safe(name)}: {safe(error, 200)}") from error
        raise ConfigError(
            f"the weights of {safe(name)} cannot be fetched from huggingface.co: "
            f"{safe(error, 120)}; check the network (and HF_HUB_OFFLINE), give the path of a "
            "timm state dict instead, or leave it out"
        ) from error
    return model


def read_weights(path: Path) -> dict[str, Any]:
    """Weights by name, from a tmssl checkpoint, a run's folder (its best one), or a file of timm.

    timm's files are state dicts or training checkpoints, by `torch.save` or as `.safetensors`; where
    one also has an average of the weights, that is read.

    Raises:
        ConfigError: there is no file, or none that can be read.
    """
    if path.is_dir():
        path = find_checkpoint(open_run(path), "best")
    if not path.is_file():
        raise ConfigError(
            f"init is '{safe(path)}', which is no file; leave it empty, or give 'imagenet' or a path"
        )
    try:
        if path.suffix == ".safetensors":
            return dict(load_state_dict(str(path)))
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            return {}
        if isinstance(content.get("encoder"), dict):
            return dict(clean_state_dict(content["encoder"]))
        return dict(load_state_dict(str(path), weights_only=True))
    except OSError as error:
        raise ConfigError(f"cannot read {safe(path)}: {safe(error.strerror or error)}") from error
    except UNREADABLE as error:
        raise ConfigError(
            f"{safe(path)} holds no weights, or is damaged{why_unreadable(error)}; give a timm "
            "state dict by torch.save or as .safetensors, a tmssl checkpoint, or a run"
        ) from error


def _with_weights(encoder: nn.Module, name: str, path: Path) -> nn.Module:
    """Load the weights of a file into an encoder, without the file's classifier."""
    weights = read_weights(path)
    wanted = encoder.state_dict()
    fitting = {
        key: value
        for key, value in weights.items()
        if key in wanted and getattr(value, "shape", None) == wanted[key].shape
    }
    if len(fitting) < len(wanted):
        raise ConfigError(
            f"{safe(path)} has {len(fitting)} of the {len(wanted)} weights of {safe(name)}; "
            "give weights of the same model"
        )
    encoder.load_state_dict(fitting)
    return encoder


def feature_count(encoder: nn.Module) -> int:
    """Width of an encoder's pooled features; some timm models widen them after pooling."""
    width = encoder.head_hidden_size
    assert isinstance(width, int)
    return width


def image_size_error(name: str, image_size: int, error: Exception) -> ConfigError:
    """The error of a model that cannot take images of a size."""
    return ConfigError(
        f"{safe(name)} cannot take {image_size} px images: {safe(error, 200)}; "
        "give another --image-size or --model"
    )
