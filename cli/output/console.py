"""The two streams of a command: words for a person on stderr, data on stdout."""

import math
import re
import sys

from tmssl.text import shown_json

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def say(line: str) -> None:
    """Print words for a person on stderr, at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place that writes there


def say_data(line: str = "") -> None:
    """Print a line of data on stdout, at once."""
    print(line, flush=True)  # noqa: T201 - the one place that writes there


def say_json(value: object) -> None:
    """Print a value as one line of JSON on stdout; NaN and infinities become null.

    Controls in its strings are escaped, as `shown_json` does. Where stdout is not UTF-8, other characters than ASCII are written as `\\u00fc`.
    """
    import json  # here, since `tmssl --help` needs neither

    import msgspec

    try:
        text = msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # bytes of a file name that are no UTF-8
        text = json.dumps(_without_surrogates(msgspec.to_builtins(value)), ensure_ascii=False)
    text = shown_json(text)
    if not (sys.stdout.encoding or "ascii").lower().startswith("utf"):
        text = _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text)
    say_data(text)


def _without_surrogates(value: object) -> object:
    """Plain values with U+FFFD for every byte that was no character; NaN and infinities become null."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
