"""The network whose features are compared: any timm model without its classifier."""

import pickle
from pathlib import Path

import timm
import torch
from torch import nn

from tmssl.errors import ConfigError
from tmssl.text import nearest, safe


def create_encoder(name: str, init: str = "") -> nn.Module:
    """A timm model from (n, 3, s, s) to pooled features (n, f).

    Args:
        name: any name of `timm.list_models()`.
        init: empty for random weights from torch's generator, `imagenet` for timm's own, or the path
            of a tmssl checkpoint or of a timm state dict.

    Raises:
        ConfigError: no such model, or its weights cannot be fetched.
    """
    if not timm.is_model(name):
        raise ConfigError(
            f"timm has no model '{safe(name)}'{nearest(name, timm.list_models())}; "
            "`python -c 'import timm; print(timm.list_models())'` lists them"
        )
    if init not in ("", "imagenet"):
        return _with_weights(create_encoder(name), name, Path(init))
    try:
        model: nn.Module = timm.create_model(name, pretrained=init == "imagenet", num_classes=0)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"cannot make {safe(name)} with init '{init}': {safe(error, 200)}; "
            "check the network, or train without --init"
        ) from error
    return model


def _with_weights(encoder: nn.Module, name: str, path: Path) -> nn.Module:
    """An encoder with the weights of a file; a classifier in it is left out."""
    if not path.is_file():
        raise ConfigError(
            f"init is '{safe(path)}', which is no file; leave it empty, or give 'imagenet' or a path"
        )
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ConfigError(f"cannot load {safe(path)}: {safe(error, 200)}") from error
    weights = held.get("encoder", held) if isinstance(held, dict) else {}
    wanted = encoder.state_dict()
    fitting = {
        key: value for key, value in weights.items()
        if key in wanted and getattr(value, "shape", None) == wanted[key].shape
    }  # fmt: skip
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
    """What to say when a model refuses a view's size."""
    return ConfigError(
        f"{safe(name)} cannot take {image_size} px images: {safe(error, 200)}; "
        "give another --image-size or --model"
    )
