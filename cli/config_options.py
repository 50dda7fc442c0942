"""Options of `tmssl train` made from the settings themselves, so help and code cannot disagree."""

import ast
import functools
import inspect
import itertools
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Union, get_origin, get_type_hints

import msgspec
import typer

from tmssl.config import SECTIONS
from tmssl.text import safe

# Settings that have their own option, or none because a command decides them.
_NAMES = {"data.source": "data", "model.name": "model"}
_HIDDEN = {"data.pack", "optim.anchor", "optim.rewarm_step", "optim.rewarm_lr"}


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring under each field of a settings struct."""
    return _docs_of(kind.__module__)[kind.__name__]


@functools.cache
def _docs_of(module: str) -> dict[str, dict[str, str]]:
    """Those of every struct of a module, read once: every command begins with them."""
    docs: dict[str, dict[str, str]] = {}
    for part in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(part, ast.ClassDef):
            docs[part.name] = {
                line.target.id: str(ast.literal_eval(following.value))
                for line, following in itertools.pairwise(part.body)
                if isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(following, ast.Expr)
            }
    return docs


@functools.cache
def option_names() -> dict[str, str]:
    """Parameter name of each setting's option, to `section.name`."""
    names = {}
    for section, kind in SECTIONS.items():
        for field in kind.__struct_fields__:
            setting = f"{section}.{field}"
            if setting not in _HIDDEN:
                names[_NAMES.get(setting, field)] = setting
    return names


def _parameter(name: str, setting: str) -> inspect.Parameter:
    """One keyword-only option that is None unless it is given."""
    section, _, field = setting.partition(".")
    kind = SECTIONS[section]
    default = getattr(kind(), field)
    told = field_docs(kind)[field]
    shown = default if default != "" else "none"
    flags = [f"--{name.replace('_', '-')}"]
    if isinstance(default, bool):
        flags[0] += f"/--no-{name.replace('_', '-')}"
    words = _words(kind, field)
    option = typer.Option(
        *flags,
        help=f"{told}  [default: {shown}]",
        show_default=False,
        rich_help_panel=None,
        metavar=None if isinstance(default, bool) else _metavar(kind, field),
        parser=functools.partial(_number_or_word, words) if words else None,
    )
    plain = type(default)
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[plain | None, option],
    )


def _metavar(kind: type[msgspec.Struct], field: str) -> str:
    """The choices of a setting, or the kind of value it takes."""
    hint = get_type_hints(kind)[field]
    words = _words(kind, field)
    choices = ("N", *words) if words else getattr(hint, "__args__", None)
    if choices:
        return "|".join(map(str, choices))
    return {int: "N", float: "X"}.get(type(getattr(kind(), field)), "TEXT")


def _words(kind: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    """The words that a setting takes beside a number."""
    hint = get_type_hints(kind)[field]
    parts = hint.__args__ if isinstance(hint, types.UnionType) or get_origin(hint) is Union else ()
    return tuple(word for part in parts for word in getattr(part, "__args__", ()))


def _number_or_word(words: tuple[str, ...], given: str) -> int | str:
    """What was given for a setting that takes either."""
    try:
        return given if given in words else int(given)
    except ValueError:
        raise typer.BadParameter(
            f"'{safe(given)}' is no number and not {' or '.join(words)}"
        ) from None


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose `settings` parameter collects the settings that were given, by `section.name`."""
    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    extra = [_parameter(name, setting) for name, setting in option_names().items()]

    @functools.wraps(command)
    def wrapped(**given: Any) -> None:
        options = {setting: given.pop(name) for name, setting in option_names().items()}
        settings = {setting: value for setting, value in options.items() if value is not None}
        command(**given, settings=settings)

    signature = inspect.Signature([*extra, *(p.replace(kind=p.KEYWORD_ONLY) for p in own)])
    wrapped.__signature__ = signature  # type: ignore[attr-defined]  # functions may carry one
    wrapped.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return wrapped
