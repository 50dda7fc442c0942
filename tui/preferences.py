"""How a person likes the monitor, kept from one time to the next."""

import os.path
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tmssl.errors import InputError
from tmssl.files import write_atomic
from tmssl.text import safe


class Preferences(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept; a field that is not there has its usual value, and unknown ones are passed over."""

    theme: str = ""
    """name of the theme, empty for what suits the terminal"""
    axis: Literal["step", "epoch", "time"] = "epoch"
    """horizontal axis of the curves"""
    weight: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    """smoothing of the curves, 0 to below 1"""
    log: bool = False
    """whether the loss is on a logarithmic scale"""
    clipped: bool = False
    """whether the curves show the middle of their values only"""
    listed: bool | None = None
    """whether the list of queries is shown, None for what suits the width"""
    size: Annotated[int, Meta(ge=0, le=4)] | None = None
    """how many matches are on a page, None for what suits the height"""


def preferences_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_STATE_HOME/tmssl/monitor.json`, under ~/.local/state where that is not set."""
    home = environment.get("XDG_STATE_HOME")
    # Path's own would raise for a user without a home, such as a container may have.
    usual = os.path.expanduser("~/.local/state")  # noqa: PTH111 - see above
    return Path(home or usual) / "tmssl" / "monitor.json"


def read_preferences(path: Path) -> tuple[Preferences, str]:
    """What was kept, and a word if it could not be read; then everything is as usual."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Preferences), ""
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, ValueError) as error:
        return (
            Preferences(),
            f"{safe(path)} cannot be read ({safe(error, 100)}); the layout is the usual one",
        )


def write_preferences(path: Path, kept: Preferences) -> str:
    """Keep it; the file is the old one or the new one, never a part. Returns a word if it could not be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.encode(kept))
    except (OSError, InputError) as error:
        return f"the layout is not remembered: {safe(error, 200)}"
    return ""
