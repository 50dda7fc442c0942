"""Every number that a person can give has a least and a most, and one beyond them is refused in one line."""

import functools
import importlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from cli.app import app
from cli.config_options import option_names
from cli.lazy import COMMANDS, LazyCommands, module_of
from tmssl.config import SECTIONS, Config, changed, parse_setting, read_config
from tmssl.config_words import NumberKind, number_kind
from tmssl.errors import ConfigError, TmsslError

_ABSURD = ["nan", "inf", "-inf", "-1", "0", "1e308", "5e-324", "1e999", str(10**30), "9" * 5000]


def numeric_settings() -> dict[str, NumberKind]:
    """Every setting that takes a number, as `section.name`, and which numbers."""
    kinds = {
        f"{section}.{name}": number_kind(hint)
        for section, struct in SECTIONS.items()
        for name, hint in get_type_hints(struct, include_extras=True).items()
        if hint is not bool
    }
    return {name: kind for name, kind in kinds.items() if kind is not None}


SETTINGS = numeric_settings()


def numeric_options() -> dict[tuple[str, str], Any]:
    """(command, option) to each option that takes a number and is no setting."""
    options = {}
    commands = LazyCommands()
    for name in COMMANDS:
        module = importlib.import_module(module_of(name))
        hints = get_type_hints(getattr(module, COMMANDS[name].function or name))
        for parameter in commands[name].params:
            kinds = (
                {hints[parameter.name], *get_args(hints[parameter.name])}
                if parameter.name in hints
                else {}
            )
            if {int, float} & set(kinds) and not (
                name == "train" and parameter.name in option_names()
            ):
                options[name, parameter.opts[-1]] = parameter
    return options


OPTIONS = numeric_options()


def test_every_setting_that_is_a_number_has_a_least_and_a_most() -> None:
    numeric = [
        f"{section}.{name}"
        for section, struct in SECTIONS.items()
        for name in struct.__struct_fields__
        if type(getattr(struct(), name)) in (int, float, tuple)
    ]
    assert set(numeric) == set(SETTINGS)
    for name, kind in SETTINGS.items():
        assert kind.least is not None, name
        assert kind.most is not None, name
        assert math.isfinite(kind.least), name
        assert math.isfinite(kind.most), name


def test_every_option_that_is_a_number_has_a_least_and_a_most() -> None:
    assert len(OPTIONS) >= 15
    for name, option in OPTIONS.items():
        assert option.min is not None, name
        assert option.max is not None, name


def is_allowed(text: str, kind: NumberKind) -> bool:
    """Whether a number as a person wrote it is within the bounds of a setting."""
    assert kind.least is not None
    assert kind.most is not None
    whole = text.lstrip("-").isdigit()
    return (kind.kind is float or whole) and kind.least <= float(text) <= kind.most


def refusal(take: Callable[[], object]) -> str:
    """What is said against a setting, in one line; empty if it is taken."""
    try:
        take()
    except ConfigError as error:
        told = str(error)
        assert len(told.splitlines()) == 1
        assert len(told) < 400
        return told
    return ""


@pytest.mark.parametrize("setting", SETTINGS)
def test_an_absurd_setting_is_refused_in_one_line(setting: str, tmp_path: Path) -> None:
    section, name = setting.split(".")
    file = tmp_path / "config.toml"
    for text in _ABSURD:
        item = f"[{text}]" if SETTINGS[setting].several else text
        file.write_text(f"[{section}]\n{name} = {item}\n")
        given = functools.partial(parse_setting, f"{name}={text}")
        told = [
            refusal(lambda given=given: changed(Config(), dict([given()]))),  # type: ignore[misc]  # it is bound
            refusal(lambda: read_config(file)),
        ]
        if not is_allowed(text, SETTINGS[setting]):
            assert all(told), (text, told)
        else:  # it may contradict another one
            assert not any("bad setting" in words for words in told), (text, told)


@pytest.mark.parametrize("text", _ABSURD)
def test_an_absurd_option_is_refused_without_a_traceback(text: str) -> None:
    known = {name: setting for name, setting in option_names().items() if setting in SETTINGS}
    words = {
        ("train", f"--{name.replace('_', '-')}"): ["train", "--data", "none-there"]
        for name in known
    }
    words |= {(command, option): [command, "none-there"] for command, option in OPTIONS}
    for (_, option), command in words.items():
        done = CliRunner().invoke(app, [*command, f"{option}={text}"])
        expected = (TmsslError, SystemExit)
        assert isinstance(done.exception, expected), (command, option, done.exception)
        told = str(done.exception) if isinstance(done.exception, TmsslError) else done.output
        assert done.exit_code in (1, 2)
        assert len(told) < 500, (command, option)
