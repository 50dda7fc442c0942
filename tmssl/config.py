"""The settings of a run: frozen structs, their checks, and their TOML file."""

import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args, get_type_hints

import msgspec
import tomli_w
from msgspec import Meta

from tmssl.errors import ConfigError, InputError
from tmssl.files import write_atomic
from tmssl.text import nearest, safe

Positives = Literal["instance", "vienna", "mixed"]
ViewSet = Literal["logo", "colour", "published", "mild"]
OptimizerName = Literal["sgd", "lars", "adamw"]
ScheduleName = Literal["cosine", "constant"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
BestBy = Literal[
    "auto", "loss", "figurative-map", "group-map", "figurative-hit", "group-recall", "invariance"
]
Level = Literal["category", "division", "section"]

_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_BOUNDS = {">=": "at least", ">": "above", "<=": "at most", "<": "below"}
_LARGEST_FILE = 1 << 20  # bytes

PositiveInt = Annotated[int, Meta(ge=1)]
PositiveFloat = Annotated[float, Meta(gt=0, le=sys.float_info.max)]
NonNegative = Annotated[float, Meta(ge=0, le=sys.float_info.max)]
ChunkSize = Literal["auto"] | Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Images, views and positives."""

    source: str = ""
    """Folder, archive or table of images."""
    pack: str = ""
    """Folder of the pack made from the source."""
    images_under: str = ""
    """A further folder that links and tables of the source may point into."""
    image_size: Annotated[int, Meta(ge=32, le=1024)] = 224
    """Side of a view in pixels."""
    views: ViewSet = "logo"
    """Augmentations: `logo`, `colour` (`logo` without stylings, for short runs), `published` (MoCo v3)
    or `mild`."""
    positives: Positives = "instance"
    """Two views of one image, of two images that share a Vienna code, or a mixture of both."""
    vienna_share: Share = 0.5
    """Share of Vienna positives in the mixture."""
    vienna_level: Level = "division"
    """Level at which two images share a code."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The encoder and its heads."""

    name: str = "efficientnet_b0"
    """Any timm model."""
    hidden: PositiveInt = 4096
    """Width of the hidden layers of projector and predictor."""
    dimensions: PositiveInt = 256
    """Dimensions in which views are compared."""
    init: str = ""
    """Initial weights: `imagenet`, a file of timm or tmssl weights, or a run."""


class OptimConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Optimizer, learning-rate schedule, loss and momentum encoder."""

    optimizer: OptimizerName = "sgd"
    """Optimizer; `sgd` is with Nesterov momentum."""
    lr: PositiveFloat = 0.2
    """Highest learning rate; it is not scaled by the batch size."""
    min_lr: NonNegative = 1e-6
    """Learning rate at the end of the cosine."""
    schedule: ScheduleName = "cosine"
    """Learning-rate schedule."""
    warmup_epochs: NonNegative = 1.0
    """Epochs of linear warm-up at the start of the run."""
    anchor: NonNegative = 0.0
    """Epoch at which the cosine begins."""
    rewarm_steps: Annotated[int, Meta(ge=0)] = 0
    """Steps over which a resume spreads a jump of the learning rate; 0 jumps at once."""
    rewarm_step: Annotated[int, Meta(ge=0)] = 0
    """Step at which that spread begins; set by a resume."""
    rewarm_lr: NonNegative = 0.0
    """Learning rate from which it begins; set by a resume."""
    weight_decay: NonNegative = 1e-4
    """Weight decay; BN and biases have none."""
    temperature: PositiveFloat = 0.2
    """Temperature of the softmax."""
    momentum: Share = 0.99
    """Initial momentum of the momentum encoder; it rises to 1 along a cosine."""


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Length, batches, hardware, checkpoints and evaluations."""

    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 30
    """Epoch at which training ends."""
    batch_size: Annotated[int, Meta(ge=2)] = 256
    """Images per batch, and so the keys that each query is compared with."""
    chunk_size: ChunkSize = 0
    """Images that pass through the encoder at once: a number, 0 for the whole batch, or `auto` for
    as many as the memory holds."""
    seed: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0
    """Seed of order, views and initial weights."""
    gpus: PositiveInt = 1
    """GPUs of this machine to train on, one process each; they share the batch. Processes on a CPU."""
    device: Device = "auto"
    """Device for training; `auto` takes CUDA if there is a GPU."""
    precision: Precision = "auto"
    """Number format for training; `auto` is bfloat16 on a GPU that has it, float16 on other GPUs, float32
    on a CPU. With bfloat16 on CUDA the views are made in bfloat16 too."""
    deterministic: bool = False
    """Give bitwise the same losses on every run; a little slower."""
    compile: bool = False
    """Compile the encoders with torch.compile."""
    log_every: PositiveInt = 10
    """Steps between step events."""
    checkpoint_minutes: PositiveFloat = 10.0
    """Minutes between checkpoints within an epoch."""
    eval_every: Annotated[int, Meta(ge=0)] = 0
    """Epochs between evaluations during training, with one at the end; 0 makes none."""
    best_by: BestBy = "auto"
    """Figure of these evaluations that chooses `best`; `auto` is figurative division mAP or group mAP if
    the labels allow it, else the loss."""
    keep_every: Annotated[int, Meta(ge=0)] = 10
    """Epochs between checkpoints that are kept for good; 0 keeps none."""
    price_per_hour: NonNegative = 0.0
    """Price of the machine per hour, for the cost of a run so far and to its end; 0 is unknown."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "data": DataConfig,
    "model": ModelConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
}


def section_of(setting: str) -> str:
    """The section of a setting, which may be written `lr` or `optim.lr`.

    Raises:
        ConfigError: there is no such setting; the message names the nearest one.
    """
    wanted = setting.rpartition(".")
    for section, kind in SECTIONS.items():
        if wanted[2] in kind.__struct_fields__ and wanted[0] in ("", section):
            return section
    known = [name for kind in SECTIONS.values() for name in kind.__struct_fields__]
    raise ConfigError(f"unknown setting '{safe(setting)}'{nearest(wanted[2], known)}")


def from_dict(tree: Mapping[str, object]) -> Config:
    """A checked configuration from nested dicts.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of range or a contradiction.
    """
    for section, settings in tree.items():
        if section not in SECTIONS:
            raise ConfigError(
                f"unknown section [{safe(section)}]{nearest(section, list(SECTIONS))}"
            )
        for name in settings if isinstance(settings, dict) else ():
            section_of(f"{section}.{name}")
    try:
        config = msgspec.convert(tree, Config, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"bad setting: {_explain(str(error), tree)}") from error
    _check(config)
    return config


def _explain(message: str, tree: Mapping[str, object]) -> str:
    """A message of msgspec, such as "Expected `int` >= 1 - at `$.train.epochs`", in plain words."""
    expected, _, place = message.partition(" - at `$.")
    section, _, name = place.rstrip("`").partition(".")
    settings = tree.get(section)
    if not name or not isinstance(settings, Mapping):
        return f"[{section}] is no table of settings; write NAME = VALUE lines below it"
    kinds = get_args(get_type_hints(SECTIONS[section])[name])
    words = [word for kind in kinds for word in (kind, *get_args(kind)) if isinstance(word, str)]
    wanted = re.match(r"Expected `(\w+)`(?: (\S+) (\S+))?", expected)
    if len(words) > 1:
        hint = f"one of {', '.join(words)}"
    elif wanted is None:
        hint = f"`{words[0]}` or a whole number" if words else safe(expected)
    else:
        kind, bound, limit = wanted.groups()
        hint = _KINDS.get(kind, kind) + (f", {_BOUNDS.get(bound, bound)} {limit}" if bound else "")
    value = settings[name]
    shown = f"'{safe(value, 60)}'" if isinstance(value, str) else safe(value, 60)
    return f"{name} is {shown}; give {hint}"


def _check(config: Config) -> None:
    """Refuse settings that contradict each other."""
    optim, train = config.optim, config.train
    if optim.min_lr > optim.lr:
        raise ConfigError(
            f"min_lr is {optim.min_lr:g}, above lr {optim.lr:g}; make it smaller than lr"
        )
    if optim.schedule == "cosine" and optim.anchor >= train.epochs:
        raise ConfigError(
            f"the cosine would begin at epoch {optim.anchor:g} and end at {train.epochs}; "
            "give more --epochs"
        )
    if train.batch_size % train.gpus or train.batch_size < 2 * train.gpus * (train.gpus > 1):
        raise ConfigError(
            f"batch_size is {train.batch_size}, which {train.gpus} GPUs cannot share evenly; "
            f"give a multiple of {train.gpus}, at least {2 * train.gpus}"
        )
    if train.chunk_size == 1:
        raise ConfigError(
            "chunk_size is 1, and BN cannot train on one image; give 2 or more, or 0 for all at once"
        )
    if train.chunk_size != "auto" and train.chunk_size > train.batch_size:
        raise ConfigError(
            f"chunk_size is {train.chunk_size}, above batch_size {train.batch_size}; lower it"
        )


def parse_setting(text: str) -> tuple[str, object]:
    """`lr=1e-4` as (`optim.lr`, 0.0001); the value is TOML, or bare text for a string.

    Raises:
        ConfigError: the text has no `=`, or there is no such setting.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"'{safe(text, 60)}' sets nothing; write NAME=VALUE, such as lr=1e-4")
    name = name.strip().replace("-", "_")
    section = section_of(name)
    setting = name.rpartition(".")[2]
    kind = type(getattr(SECTIONS[section](), setting))
    try:
        parsed: object = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    if kind is str and not isinstance(parsed, str):
        parsed = value.strip()
    if kind is float and type(parsed) is int:
        parsed = float(parsed)
    return f"{section}.{setting}", parsed


def changed(config: Config, changes: dict[str, object]) -> Config:
    """The configuration with some settings replaced; keys are `lr` or `optim.lr`."""
    tree = to_dict(config)
    for setting, value in changes.items():
        section = tree[section_of(setting)]
        assert isinstance(section, dict)
        section[setting.rpartition(".")[2]] = value
    return from_dict(tree)


def differences(old: Config, new: Config) -> dict[str, list[object]]:
    """Settings that differ, as `section.name` to [old, new]."""
    pairs: dict[str, list[object]] = {}
    for section, kind in SECTIONS.items():
        for name in kind.__struct_fields__:
            before = getattr(getattr(old, section), name)
            after = getattr(getattr(new, section), name)
            if before != after:
                pairs[f"{section}.{name}"] = [before, after]
    return pairs


def to_dict(config: Config) -> dict[str, dict[str, object]]:
    """The configuration as nested dicts of plain values."""
    tree: dict[str, dict[str, object]] = msgspec.to_builtins(config)
    return tree


def read_config(path: Path) -> Config:
    """The configuration in a TOML file.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or holds a bad setting.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(
                f"it has more than {_LARGEST_FILE:,} bytes, so it is no file of settings"
            )
        return from_dict(tomllib.loads(content.decode()))
    except OSError as error:
        raise ConfigError(f"cannot read {safe(path)}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a TOML or Unicode error is a ValueError
        raise ConfigError(f"{safe(path)} is not TOML: {safe(error)}") from error
    except ConfigError as error:
        raise ConfigError(f"{safe(path)}: {error}") from error


def write_config(config: Config, path: Path) -> None:
    """Write the configuration as TOML, replacing the file atomically.

    Raises:
        ConfigError: the file cannot be written; the old one is unchanged.
    """
    try:
        write_atomic(path, tomli_w.dumps(to_dict(config)).encode())
    except InputError as error:
        raise ConfigError(str(error)) from error
