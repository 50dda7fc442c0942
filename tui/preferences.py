"""How the user likes the monitor to look, saved between sessions."""

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
    """What is saved; a missing field has its default, and unknown fields are ignored."""

    theme: str = ""
    """name of the theme; empty for the one that suits the terminal"""
    axis: Literal["step", "epoch", "time"] = "epoch"
    """horizontal axis of the curves"""
    weight: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    """smoothing of the curves, 0 to below 1"""
    log: bool = False
    """whether the loss is on a logarithmic scale"""
    clipped: bool = False
    """whether the curves show only the middle 98 % of their values"""
    listed: bool | None = None
    """whether the list of queries is shown; None for what suits the width"""
    size: Annotated[int, Meta(ge=0, le=4)] | None = None
    """index into the page sizes of the matches; None for what suits the height"""
    run_columns: tuple[str, ...] = ()
    """columns of the list of runs; empty for the usual ones"""
    run_order: str = ""
    """what the list of runs is sorted by, after a minus if the largest comes first"""
    pictures: dict[str, str] = {}
    """how pictures are drawn, by kind of terminal; see tui/pictures/ways.py"""
    hinted: bool = False
    """whether the hint at the choice of pictures was shown"""


def preferences_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_STATE_HOME/tmssl/monitor.json`, under ~/.local/state by default."""
    home = environment.get("XDG_STATE_HOME")
    # Path.expanduser raises for a user without a home, as in some containers.
    default = os.path.expanduser("~/.local/state")  # noqa: PTH111 - see above
    return Path(home or default) / "tmssl" / "monitor.json"


def read_preferences(path: Path) -> tuple[Preferences, str]:
    """The saved preferences, and an empty text; the defaults and the reason if they cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Preferences), ""
    except FileNotFoundError:
        return Preferences(), ""
    except (OSError, ValueError, RecursionError) as error:
        problem = f"{safe(path)} cannot be read ({safe(error, 100)}); using the default layout"
        return Preferences(), problem


def write_preferences(path: Path, preferences: Preferences) -> str:
    """Save preferences atomically; returns the reason if that fails, else an empty text."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, msgspec.json.encode(preferences))
    except (OSError, InputError) as error:
        return f"the layout is not saved: {safe(error, 200)}"
    return ""
