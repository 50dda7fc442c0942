"""The encoder of a run: a timm model, pooled or on a grid, as its settings say."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import msgspec
import timm
from torch import Tensor, nn

from tmssl.config import RANDOM, ModelConfig, resolved_model
from tmssl.data.views.augment import MEAN, STD
from tmssl.errors import ConfigError
from tmssl.text import safe
from tmssl.training.checkpoints.payload import load_state
from tmssl.training.encoder.foreign_weights import Tell, load_weights, read_weights
from tmssl.training.encoder.grid import GridEncoder, kept_features
from tmssl.training.encoder.normalization import Normalization
from tmssl.training.encoder.weights import create_trunk, weights_file


def create_encoder(
    model: ModelConfig, kept: Sequence[int] | None = None, tell: Tell = lambda _: None
) -> nn.Module:
    """The encoder of some settings, from views (n, 3, s, s) to features (n, f).

    A pooled one is the timm model itself, behind a `Normalization` where the model has a mean and
    deviation of its own. A grid's whitening is still to be fitted, unless it comes with the initial
    weights, which then are an encoder of tmssl.

    Args:
        model: its name, initial weights, features and normalization.
        kept: whitened features of each stage; by default as many as the settings want.
        tell: as for `load_weights`.

    Raises:
        ConfigError: no such model or stage, or weights that cannot be fetched, read or fitted.
    """
    model = resolved_model(model)
    if model.init in (*RANDOM, "imagenet"):
        trunk = create_trunk(model.name, model.init)
    else:
        weights = read_weights(weights_file(model.init))
        plain = msgspec.structs.replace(model, init="none")
        if _is_ours(weights):
            encoder = create_encoder(plain, kept_features(weights) or None)
            load_weights(encoder, weights, model.name, model.init, tell)
            return encoder
        trunk = create_trunk(model.name)
        load_weights(trunk, weights, model.name, model.init, tell)
    mean, std = pixel_statistics(model)
    if model.features == "grid":
        return GridEncoder(
            trunk,
            model.name,
            stages=model.stages,
            grid=model.grid,
            kept=kept or [model.whiten] * len(model.stages),
            normalization=Normalization(mean, std),
        )
    if (mean, std) == (MEAN, STD):
        return trunk
    return nn.Sequential(OrderedDict(normalization=Normalization(mean, std), trunk=trunk))


def _is_ours(weights: Iterable[str]) -> bool:
    """Whether names of weights are those of an encoder of tmssl that has a trunk, and not just a prefix."""
    parts = {name.partition(".")[0] for name in weights}
    return "trunk" in parts and not parts.isdisjoint({"stages", "normalization"})


def restored_encoder(model: ModelConfig, state: dict[str, Tensor]) -> nn.Module:
    """The encoder of some settings with the weights of a checkpoint, whatever they began from."""
    plain = msgspec.structs.replace(resolved_model(model), init="none")
    encoder = create_encoder(plain, kept_features(state) or None)
    load_state(encoder, state, "encoder")
    return encoder


def pixel_statistics(model: ModelConfig) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and deviation, per channel, of the pixels that a model sees."""
    if model.normalization == "imagenet":
        return MEAN, STD
    config = timm.get_pretrained_cfg(model.name)
    return tuple(config.mean), tuple(config.std)


def feature_count(encoder: nn.Module) -> int:
    """Width of an encoder's features; some timm models widen them after pooling."""
    if isinstance(encoder, GridEncoder):
        return encoder.head.out_features
    if isinstance(encoder, nn.Sequential):
        return feature_count(encoder[-1])
    width = encoder.head_hidden_size
    assert isinstance(width, int)
    return width


def image_size_error(name: str, image_size: int, error: Exception) -> ConfigError:
    """The error of a model that cannot take images of a size."""
    return ConfigError(
        f"{safe(name)} cannot take {image_size} px images: {safe(error, 200)}; "
        "give another --image-size or --model"
    )
