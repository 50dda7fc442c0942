"""Settings in words: what a refused value may be, and lists of numbers as a person writes them."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from tmssl.errors import ConfigError
from tmssl.text import safe

_KINDS: dict[Any, str] = {bool: "true or false", str: "text"}


class NumberKind(NamedTuple):
    """What a setting takes where it takes a number, or several."""

    kind: type[int] | type[float]
    least: float | None
    most: float | None
    several: bool = False

    def __str__(self) -> str:
        word = "whole number" if self.kind is int else "number"
        words = f"a list of {word}s" if self.several else f"a {word}"
        return f"{words} from {self.least:.16g} to {self.most:.16g}"


def number_kind(hint: Any) -> NumberKind | None:
    """The numbers that the type of a setting allows; None where it allows none."""
    if hint in (int, float):
        return NumberKind(hint, None, None)
    if get_origin(hint) is Annotated:
        inner = number_kind(get_args(hint)[0])
        metas = [meta for meta in hint.__metadata__ if isinstance(meta, msgspec.Meta)]
        bounds = next(((meta.ge, meta.le) for meta in metas), (None, None))
        if inner is None or inner.several:  # those of a list are its length
            return inner
        return inner._replace(least=bounds[0], most=bounds[1])
    if get_origin(hint) is tuple:
        inner = number_kind(get_args(hint)[0])
        return inner and inner._replace(several=True)
    return next(filter(None, map(number_kind, get_args(hint))), None)


def explain(
    message: str, tree: Mapping[str, object], sections: Mapping[str, type[msgspec.Struct]]
) -> str:
    """A message of msgspec, such as "Expected `int` >= 1 - at `$.train.epochs`", in plain words."""
    expected, _, place = message.partition(" - at `$.")
    section, _, name = place.rstrip("`").partition(".")
    name = name.partition("[")[0]  # of an item of a list
    settings = tree.get(section)
    if not name or not isinstance(settings, Mapping):
        return f"[{section}] is no table of settings; write NAME = VALUE lines below it"
    hint = get_type_hints(sections[section], include_extras=True)[name]
    parts = (hint, *get_args(hint))
    words = [word for part in parts for word in get_args(part) if isinstance(word, str)]
    wanted = number_kind(hint)
    if wanted is not None:
        told = f"`{words[0]}` or {wanted}" if words else str(wanted)
    elif words:
        told = f"one of {', '.join(dict.fromkeys(words))}"
    else:
        told = _KINDS.get(hint, safe(expected))
    value = settings[name]
    shown = f"'{safe(value, 60)}'" if isinstance(value, str) else safe(value, 60)
    return f"{name} is {shown}; give {told}"


def parse_numbers(text: str) -> list[int]:
    """`3,4` as [3, 4].

    Raises:
        ConfigError: something else stands there.
    """
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"'{safe(text, 60)}' is no list of numbers; write it as 3,4") from error
