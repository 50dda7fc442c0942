"""Options of `tmssl train` made from the settings in `tmssl.config`, their help texts included."""

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

from cli.command import DATA, EVALUATION, MODEL, OPTIMIZATION, OUTPUT, RUN
from cli.options import with_parameters
from tmssl.config import SECTIONS
from tmssl.config_words import parse_numbers
from tmssl.data.sources.specification import SEPARATOR
from tmssl.text import safe

_NAMES = {
    "data.source": "data",
    "model.name": "model",
}  # options named otherwise than their setting
_REPEATED = "data.source"  # each further one adds a source
_SHORT = {"data.source": "-d", "train.epochs": "-e"}
_HIDDEN = {"data.pack", "optim.anchor", "optim.rewarm_step", "optim.rewarm_lr"}  # set by commands
_HEADINGS = {
    "data": DATA,
    "model": MODEL,
    "optim": OPTIMIZATION,
    "train": RUN,
    **dict.fromkeys(["train.epochs", "train.batch_size", "train.chunk_size"], OPTIMIZATION),
    **dict.fromkeys(["train.eval_every", "train.best_by", "train.stop_when"], EVALUATION),
    **dict.fromkeys(["train.log_every", "train.checkpoint_minutes"], OUTPUT),
    **dict.fromkeys(["train.keep_every", "train.price_per_hour", "train.notify"], OUTPUT),
}
_METAVARS = {
    "data.source": "SOURCE",
    "data.images_under": "DIR",
    "data.columns": "MEANING=NAME,...",
    "data.folders": "group|split|group,split",
    "data.positives": "KIND|KIND=SHARE,...",
    "model.name": "NAME",
    "train.stop_when": "METRIC:K|none",
    "model.init": "imagenet|none|FILE|RUN",
    "model.stages": "N,N",
    "model.teacher": "timm:NAME|RUN|FILE",
    "train.notify": "URL",
}


def field_docs(kind: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring under each field of a settings struct."""
    return _module_docs(kind.__module__)[kind.__name__]


@functools.cache
def _module_docs(module: str) -> dict[str, dict[str, str]]:
    """The field docstrings of every struct of a module."""
    docs: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ClassDef):
            docs[node.name] = {
                line.target.id: str(ast.literal_eval(following.value))
                for line, following in itertools.pairwise(node.body)
                if isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(following, ast.Expr)
            }
    return docs


@functools.cache
def option_names() -> dict[str, str]:
    """Parameter name of each option, to its setting as `section.name`."""
    settings = [f"{s}.{name}" for s, kind in SECTIONS.items() for name in kind.__struct_fields__]
    return {
        _NAMES.get(setting, setting.partition(".")[2]): setting
        for setting in settings
        if setting not in _HIDDEN
    }


def _parameter(name: str, setting: str) -> inspect.Parameter:
    """The parameter of one setting, None unless its option is given."""
    section, _, field = setting.partition(".")
    kind = SECTIONS[section]
    default = getattr(kind(), field)
    flag = f"--{name.replace('_', '-')}"
    is_flag = isinstance(default, bool)
    words = _words(kind, field)
    is_list = isinstance(default, tuple)
    value = ",".join(map(str, default)) if is_list else default
    shown = "" if default == "" or is_flag else f"  [default: {value}]"
    taken: Any = str if is_list else type(default) | None
    if setting == _REPEATED:
        taken = list[str] | None
    option = typer.Option(
        *filter(None, [_SHORT.get(setting)]),
        f"{flag}/--no-{flag[2:]}" if is_flag else flag,
        help=" ".join(field_docs(kind)[field].split()) + shown,
        show_default=False,
        rich_help_panel=_HEADINGS.get(setting, _HEADINGS[section]),
        metavar=None if is_flag else _metavar(kind, setting, words),
        parser=parse_numbers if is_list else _word_parser(words),
    )
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[taken, option],
    )


def _word_parser(words: tuple[str, ...]) -> Callable[[str], int | str] | None:
    """The parser of a setting that takes a number or one of some words; None if it takes no words."""
    return functools.partial(_parse_number_or_word, words) if words else None


def _metavar(kind: type[msgspec.Struct], setting: str, words: tuple[str, ...]) -> str:
    """The choices of a setting, or the kind of its value."""
    if setting in _METAVARS:
        return _METAVARS[setting]
    field = setting.partition(".")[2]
    hint = get_type_hints(kind)[field]
    choices = ("N", *words) if words else getattr(hint, "__args__", None)
    if choices:
        return "|".join(map(str, choices))
    return "N" if isinstance(getattr(kind(), field), int) else "X"


def _words(kind: type[msgspec.Struct], field: str) -> tuple[str, ...]:
    """The words that a setting takes instead of a number."""
    hint = get_type_hints(kind)[field]
    parts = hint.__args__ if isinstance(hint, types.UnionType) or get_origin(hint) is Union else ()
    return tuple(word for part in parts for word in getattr(part, "__args__", ()))


def _parse_number_or_word(words: tuple[str, ...], text: str) -> int | str:
    """Parse the value of a setting that takes a number or one of some words."""
    try:
        return text if text in words else int(text)
    except ValueError:
        message = f"'{safe(text, 60)}' is neither a number nor {' or '.join(words)}"
        raise typer.BadParameter(message) from None


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option per setting; its `settings` gets the given ones by `section.name`."""

    def wrapped(**options: Any) -> None:
        given = {setting: options.pop(name) for name, setting in option_names().items()}
        if given[_REPEATED]:
            given[_REPEATED] = SEPARATOR.join(given[_REPEATED])
        settings = {setting: value for setting, value in given.items() if value not in (None, [])}
        command(**options, settings=settings)

    parameters = inspect.signature(command).parameters.values()
    own = [parameter for parameter in parameters if parameter.name != "settings"]
    return with_parameters(
        command, wrapped, [*own, *(_parameter(*item) for item in option_names().items())]
    )
