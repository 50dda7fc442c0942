"""The network whose features are compared: any timm model without its classifier."""

import timm
from torch import nn

from tmssl.errors import ConfigError
from tmssl.text import nearest, safe


def create_encoder(name: str, init: str = "") -> nn.Module:
    """A timm model from (n, 3, s, s) to pooled features (n, f).

    Args:
        name: any name of `timm.list_models()`.
        init: empty for random weights from torch's generator, or `imagenet` for timm's own.

    Raises:
        ConfigError: no such model, or its weights cannot be fetched.
    """
    if not timm.is_model(name):
        raise ConfigError(
            f"timm has no model '{safe(name)}'{nearest(name, timm.list_models())}; "
            "`python -c 'import timm; print(timm.list_models())'` lists them"
        )
    if init not in ("", "imagenet"):
        raise ConfigError(f"init is '{safe(init)}'; leave it empty or give 'imagenet'")
    try:
        model: nn.Module = timm.create_model(name, pretrained=init == "imagenet", num_classes=0)
    except (OSError, RuntimeError) as error:
        raise ConfigError(
            f"cannot make {safe(name)} with init '{init}': {safe(error, 200)}; "
            "check the network, or train without --init"
        ) from error
    return model


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
