"""How a person wants to see the monitor: what the command line said."""

import dataclasses
import os
from collections.abc import Mapping

from tmssl.errors import InputError
from tmssl.text import safe

IMAGES = ("auto", "block", "kitty", "iterm2", "off")
_ITERM2 = ("iTerm.app", "WezTerm")


@dataclasses.dataclass(frozen=True)
class Look:
    """What the terminal and its link can bear."""

    ascii: bool = False
    """only ASCII in charts and frames"""
    colour: bool = True
    """False as under NO_COLOR"""
    redraw_s: float = 1.0
    """least seconds between two drawings of the charts; more for a slow link"""
    notify: bool = False
    """whether to ring when a run ends or a finding is bad"""
    images: str = "auto"
    """how a picture at full size reaches the terminal: one of IMAGES"""


FULL = Look()
PLAIN = Look(colour=False)
LOW_BANDWIDTH_S = 10.0  # `--low-bandwidth`


def way(asked: str, environment: Mapping[str, str] = os.environ) -> str:
    """How pictures reach this terminal, by its environment alone: `block`, `kitty`, `iterm2` or `off`.

    tmux passes graphics on only where it was told to, so there they are blocks.

    Raises:
        InputError: no such way.
    """
    if asked not in IMAGES:
        raise InputError(f"--images is '{safe(asked, 60)}'; give one of {', '.join(IMAGES)}")
    if asked != "auto":
        return asked
    if "TMUX" in environment or environment.get("TERM", "").startswith(("screen", "tmux")):
        return "block"
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM_PROGRAM") == "ghostty":
        return "kitty"
    return "iterm2" if environment.get("TERM_PROGRAM") in _ITERM2 else "block"
