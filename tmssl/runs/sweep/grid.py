"""The runs of a sweep from a TOML file: shared settings, a grid of lists, and tables of settings."""

import dataclasses
import hashlib
import itertools
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tmssl.config import SECTIONS, Config, changed, resolved, section_of
from tmssl.errors import ConfigError
from tmssl.text import count, nearest, safe

MOST_RUNS = 256
_LARGEST_FILE = 1 << 20  # bytes
_LONGEST_NAME = 60  # characters of a run's name before it is cut
_TOP = ("recipe", "grid", "runs", *SECTIONS)
_EVERY = "train.eval_every"

Settings = dict[str, object]
"""`section.name` to value"""


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What the file of a sweep says."""

    recipe: str
    """name or path of the recipe under all runs; empty for the defaults"""
    shared: Settings
    """settings of every run"""
    points: list[Settings]
    """settings of each run besides"""


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str
    """short, from its own settings alone, so that a grid may grow"""
    settings: Settings
    """its own settings"""
    config: Config
    """all its settings"""


def read_sweep(path: Path) -> Sweep:
    """The sweep that a TOML file describes.

    Raises:
        ConfigError: the file cannot be read, is not TOML, names a setting that does not exist, or makes
            no run or too many.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(f"{safe(path)} has more than {_LARGEST_FILE:,} bytes; it is no sweep")
        tree = tomllib.loads(content.decode())
    except OSError as error:
        raise ConfigError(f"cannot read {safe(path)}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a TOML or Unicode error is a ValueError
        raise ConfigError(f"{safe(path)} is not TOML: {safe(error)}") from error
    try:
        return parse_sweep(tree)
    except ConfigError as error:
        raise ConfigError(f"{safe(path)}: {error}") from error


def parse_sweep(tree: Mapping[str, object]) -> Sweep:
    """The sweep that a parsed TOML file describes; see `read_sweep`."""
    for key in tree:
        if key not in _TOP:
            raise ConfigError(f"unknown '{safe(key, 60)}'{nearest(key, list(_TOP))}")
    recipe = tree.get("recipe", "")
    if not isinstance(recipe, str):
        raise ConfigError(f"recipe is {safe(recipe, 60)}; give the name or path of a recipe")
    shared = _flat({name: tree[name] for name in SECTIONS if name in tree}, "the file")
    tables = _tables(tree)
    lists = _lists(tree, len(tables))
    for name in {name for table in tables for name in table} & set(lists):
        raise ConfigError(f"{name} is in [grid] and in a table of [[runs]]; leave it out of one")
    points = [
        {**table, **dict(zip(lists, values, strict=True))}
        for table in tables
        for values in itertools.product(*lists.values())
    ]
    return Sweep(recipe, shared, points)


def _tables(tree: Mapping[str, object]) -> list[Settings]:
    """The settings of each table of `[[runs]]`; one without any where there are no such tables."""
    tables = tree.get("runs", [{}])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(
            "runs is no list of tables; write [[runs]] and NAME = VALUE lines below it"
        )
    if "runs" not in tree and "grid" not in tree:
        raise ConfigError("there is no run; add [grid] with lists of values, or tables [[runs]]")
    if not tables:
        raise ConfigError("runs is empty; add a table [[runs]] for each run")
    return [_flat(table, f"table {at} of [[runs]]") for at, table in enumerate(tables, 1)]


def _lists(tree: Mapping[str, object], tables: int) -> dict[str, list[object]]:
    """The lists of `[grid]` by setting, checked to make a number of runs that a machine can train."""
    grid = tree.get("grid", {})
    if not isinstance(grid, dict) or ("grid" in tree and not grid):
        raise ConfigError("[grid] is empty; write NAME = [VALUE, VALUE] lines below it")
    lists: dict[str, list[object]] = {}
    for setting, values in _flat(grid, "[grid]").items():
        name = setting.rpartition(".")[2]
        if not isinstance(values, list):
            raise ConfigError(
                f"{name} of [grid] is {safe(values, 60)}; give a list, such as {name} = [{safe(values, 60)}]"
            )
        if not values:
            raise ConfigError(
                f"{name} of [grid] is an empty list; give its values, or leave it out"
            )
        lists[setting] = values
    runs = tables * math.prod(map(len, lists.values()))
    if runs > MOST_RUNS:
        raise ConfigError(
            f"the sweep has {runs:,} runs, and {MOST_RUNS} are the most; leave values out, or split the file"
        )
    return lists


def _flat(tree: Mapping[str, object], place: str) -> Settings:
    """Settings by `section.name`, of a table that names them with or without their section."""
    flat: Settings = {}
    for name, value in tree.items():
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(
                    f"{name} of {place} is no table; write [{name}] above its settings"
                )
            named = [(f"{name}.{key}", item) for key, item in value.items()]
        else:
            named = [(name, value)]
        for setting, item in named:
            full = f"{section_of(setting)}.{setting.rpartition('.')[2]}"
            if full in flat:
                raise ConfigError(f"{place} sets {safe(full)} twice; leave one out")
            flat[full] = item
    return flat


def plan_runs(sweep: Sweep, base: Config) -> list[PlannedRun]:
    """The runs of a sweep over the settings of its recipe, each checked and named.

    A run that says nothing of evaluations is evaluated once, at its end, so that runs can be compared.

    Raises:
        ConfigError: a bad value, settings that contradict each other, or two runs of the same settings.
    """
    configs = [_config(sweep, base, point) for point in sweep.points]
    seen: dict[Config, int] = {}
    for at, config in enumerate(map(resolved, configs)):
        if config in seen:
            raise ConfigError(
                f"runs {seen[config] + 1} and {at + 1} have the same settings "
                f"({_label(sweep.points[at]) or 'the shared ones'}); leave one out"
            )
        seen[config] = at
    labels = [_label(point) for point in sweep.points]
    return [
        PlannedRun(_name(label, labels, point), point, config)
        for label, point, config in zip(labels, sweep.points, configs, strict=True)
    ]


def _config(sweep: Sweep, base: Config, point: Settings) -> Config:
    """All settings of one run."""
    settings = {**sweep.shared, **point}
    try:
        config = changed(base, settings)
    except ConfigError as error:
        where = f"run {_label(point)}: " if _label(point) else ""
        raise ConfigError(f"{where}{error}") from error
    if _EVERY not in settings and not config.train.eval_every:
        config = changed(config, {_EVERY: config.train.epochs})
    return config


def _label(point: Settings) -> str:
    """`lr-0.001-seed-1` for the settings of a run; the characters suit every disk and shell."""
    words = [f"{name.rpartition('.')[2]}-{_value(value)}" for name, value in point.items()]
    return re.sub(r"[^a-z0-9.]+", "-", "-".join(words).lower()).strip("-.")


def _value(value: object) -> str:
    """A value in a name: numbers as short as they can be, the items of a list joined."""
    if isinstance(value, list):
        return "-".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(label: str, labels: list[str], point: Settings) -> str:
    """The name of a run: its label, cut and made unique by a checksum of its settings where needed."""
    label = label or "shared"
    if len(label) <= _LONGEST_NAME and labels.count(label) <= 1:
        return label
    checksum = hashlib.sha256(repr(sorted(point.items())).encode()).hexdigest()[:8]
    return f"{label[:_LONGEST_NAME].strip('-.')}-{checksum}"


def runs_words(planned: list[PlannedRun]) -> str:
    """`6 runs of 10 epochs`, or of `5 to 10`."""
    epochs = sorted(run.config.train.epochs for run in planned)
    shown = str(epochs[0]) if epochs[0] == epochs[-1] else f"{epochs[0]} to {epochs[-1]}"
    return f"{count(len(planned), 'run')} of {shown} {'epoch' if shown == '1' else 'epochs'}"
