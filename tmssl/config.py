"""The settings of a run in a TOML file, checked, changed and compared."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec
import tomli_w

from tmssl.config_checks import check_settings, resolved_model
from tmssl.config_words import explain, parse_numbers
from tmssl.errors import ConfigError, InputError
from tmssl.files import write_atomic
from tmssl.settings import (
    RANDOM,
    SECTIONS,
    BestBy,
    Config,
    DataConfig,
    DecayShape,
    Device,
    ModelConfig,
    OptimConfig,
)
from tmssl.text import nearest, safe

__all__ = [
    "EARLIER",
    "RANDOM",
    "SECTIONS",
    "BestBy",
    "Config",
    "DataConfig",
    "DecayShape",
    "Device",
    "ModelConfig",
    "OptimConfig",
    "changed",
    "differences",
    "from_dict",
    "parse_setting",
    "published",
    "read_config",
    "resolved",
    "resolved_model",
    "scheme",
    "section_of",
    "to_dict",
    "write_config",
]

_LARGEST_FILE = 1 << 20  # bytes


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


# Version 0.2.0 and earlier wrote every setting they had into a run's file: `pack`, and all of these.
_EARLIER_MODEL = {"name", "hidden", "dimensions", "init"}
EARLIER: Mapping[str, object] = {
    "features": "pooled",
    "train": "all",
    "heads": "mlp",
    "normalization": "imagenet",
}


def _as_written(tree: Mapping[str, object]) -> Mapping[str, object]:
    """The settings of a run, with what was meant where an earlier version wrote them."""
    data, model = tree.get("data"), tree.get("model")
    if not isinstance(data, dict) or not isinstance(model, dict):
        return tree
    if "pack" in data and set(model) >= _EARLIER_MODEL and "features" not in model:
        return {**tree, "model": {**EARLIER, **model}}
    return tree


def from_dict(tree: Mapping[str, object]) -> Config:
    """A checked configuration from nested dicts.

    What is not stated has its default, but for a run of version 0.2.0 or earlier: its encoder is pooled,
    trained whole, and sees pixels normalised by ImageNet's mean and deviation.

    Raises:
        ConfigError: an unknown key, a wrong type, a value out of range or a contradiction.
    """
    tree = _as_written(tree)
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
        raise ConfigError(f"bad setting: {explain(str(error), tree, SECTIONS)}") from error
    check_settings(config)
    return config


def resolved(config: Config) -> Config:
    """The configuration with each `auto` of its model replaced by what it means there."""
    return msgspec.structs.replace(config, model=resolved_model(config.model))


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
    except (ValueError, RecursionError):  # no TOML, or a number of thousands of digits
        parsed = value.strip()
    if kind is str and not isinstance(parsed, str):
        parsed = value.strip()
    if kind is float and type(parsed) is int and abs(parsed) < 1 << 53:
        parsed = float(parsed)
    if kind is tuple and not isinstance(parsed, list):
        parsed = parse_numbers(value)
    return f"{section}.{setting}", parsed


def published(config: Config) -> Config:
    """The configuration as journals and checkpoints hold it, which others read: without the address of notices."""
    notify = config.train.notify and scheme(config.train.notify)
    return msgspec.structs.replace(
        config, train=msgspec.structs.replace(config.train, notify=notify)
    )


def scheme(address: str) -> str:
    """`ntfy://` of `ntfy://user:password@host/topic`: what may be shown of an address."""
    service, separator, _ = address.partition("://")
    return f"{service}{separator}" if separator else "something without ://"


def changed(config: Config, changes: dict[str, object]) -> Config:
    """The configuration with some settings replaced; keys are `lr` or `optim.lr`."""
    tree = to_dict(config)
    for setting, value in changes.items():
        section = tree[section_of(setting)]
        assert isinstance(section, dict)
        section[setting.rpartition(".")[2]] = value
    return from_dict(tree)


def differences(old: Config, new: Config) -> dict[str, list[object]]:
    """Settings that differ, as `section.name` to [old, new]; of an address of notices its service alone."""
    old, new = published(old), published(new)
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
