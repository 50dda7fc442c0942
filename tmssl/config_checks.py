"""What `auto` means for a model, and settings that contradict each other."""

import msgspec

from tmssl.errors import ConfigError
from tmssl.positives import parse_positives
from tmssl.settings import RANDOM, Config, ModelConfig, OptimConfig
from tmssl.stop_when import check_stop_when


def resolved_model(model: ModelConfig) -> ModelConfig:
    """The settings of a model with each `auto` replaced by what it means there."""
    init, features, train, heads = model.init, model.features, model.train, model.heads
    if init == "auto":
        init = "imagenet" if model.name == ModelConfig().name else "none"
    if features == "auto":
        features = "pooled" if init in RANDOM else "grid"
    if train == "auto":
        train = "head" if features == "grid" else "all"
    if heads == "auto":
        heads = "none" if train == "head" else "mlp"
    return msgspec.structs.replace(model, init=init, features=features, train=train, heads=heads)


def check_settings(config: Config) -> None:
    """Refuse settings that contradict each other."""
    optim, train, model = config.optim, config.train, resolved_model(config.model)
    parse_positives(config.data.positives)
    if model.features == "pooled" and model.train == "head":
        raise ConfigError(
            "train is 'head' and features are 'pooled', which have no head; give --train all"
        )
    if list(model.stages) != sorted(set(model.stages)):
        raise ConfigError(
            f"stages are {', '.join(map(str, model.stages))}; give each once, in ascending order"
        )
    if optim.min_lr > optim.lr:
        raise ConfigError(
            f"min_lr is {optim.min_lr:g}, above lr {optim.lr:g}; make it smaller than lr"
        )
    _check_schedule(optim, train.epochs)
    if train.batch_size % train.gpus or train.batch_size < 2 * train.gpus * (train.gpus > 1):
        raise ConfigError(
            f"batch_size is {train.batch_size}, which {train.gpus} GPUs cannot share evenly; "
            f"give a multiple of {train.gpus}, at least {2 * train.gpus}"
        )
    check_stop_when(train)
    if train.chunk_size == 1:
        raise ConfigError(
            "chunk_size is 1, and BN cannot train on one image; give 2 or more, or 0 for all at once"
        )
    if train.chunk_size != "auto" and train.chunk_size > train.batch_size:
        raise ConfigError(
            f"chunk_size is {train.chunk_size}, above batch_size {train.batch_size}; lower it"
        )


def _check_schedule(optim: OptimConfig, epochs: int) -> None:
    """Refuse a cosine or a decay that has no room before the end, and a decay of another schedule."""
    if optim.schedule != "constant" and optim.anchor >= epochs:
        name = "cosine" if optim.schedule == "cosine" else "stable rate"
        raise ConfigError(
            f"the {name} would begin at epoch {optim.anchor:g} and end at {epochs}; "
            "give more --epochs"
        )
    if optim.schedule != "wsd" and optim.decay_epochs:
        raise ConfigError(
            f"decay_epochs is {optim.decay_epochs:g}, and only the schedule wsd has a decay; "
            "give --schedule wsd, or --decay-epochs 0"
        )
    if optim.schedule == "range-test" and not optim.min_lr:
        raise ConfigError(
            "min_lr is 0, and the range test rises from it by equal factors; give one above 0, such as 1e-7"
        )
    begun = max(optim.warmup_epochs, optim.anchor)
    if optim.schedule == "wsd" and optim.decay_epochs > epochs - begun:
        raise ConfigError(
            f"decay_epochs is {optim.decay_epochs:g}, and the run has {max(0, epochs - begun):g} epochs "
            f"from epoch {begun:g} to {epochs}; give a shorter decay, or more --epochs"
        )
