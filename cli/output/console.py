"""The two streams of a command: words for a person on stderr, data on stdout."""

import sys


def say(line: str) -> None:
    """Print words for a person on stderr, at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - the one place that writes there


def say_data(line: str = "") -> None:
    """Print a line of data on stdout, at once."""
    print(line, flush=True)  # noqa: T201 - the one place that writes there


def say_json(value: object) -> None:
    """Print a value as one line of JSON on stdout; NaN and infinities become null."""
    import msgspec  # here, since `tmssl --help` needs none

    say_data(msgspec.json.encode(value).decode())
