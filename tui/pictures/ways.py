"""Which way a terminal gets its pictures: what was asked for, what the person chose, what the environment says.

The terminal itself is never asked: an answer over a slow link would arrive as keys.
"""

import os
from collections.abc import Mapping

from tmssl.errors import InputError
from tmssl.text import safe

CELLS = ("half", "quadrant", "sextant", "octant")
"""ways that draw with characters of parts of a cell, the coarsest first"""
PIXELS = "kitty"
"""pixels by kitty's graphics protocol, in the monitor only; see tui/pictures/placeholders.py"""
INSTEAD_OF_PIXELS = "sextant"
"""what is drawn where pixels cannot be: every terminal that shows them draws sextants"""
DRAWN = (*CELLS, PIXELS, "letters", "off")
"""every way a picture is drawn; `letters` is ASCII"""
ASKED = ("auto", *CELLS, PIXELS, "off")
"""what `--pictures` takes"""
_WITH_PIXELS = ("kitty", "ghostty")
"""kinds of terminal that show pixels by placeholders"""
_SEXTANT_VTE = 6200  # VTE 0.62 draws sextants itself, whatever the font has


def check_way(asked: str) -> None:
    """Refuse a word that `--pictures` does not take.

    Raises:
        InputError: it is not one of ASKED.
    """
    if asked not in ASKED:
        raise InputError(f"--pictures is '{safe(asked, 60)}'; give one of {', '.join(ASKED)}")


def terminal_kind(environment: Mapping[str, str] = os.environ) -> str:
    """What the environment says for sure of the terminal; the choice of a person is kept by it.

    Inside tmux or screen the terminal may change while programs run, so the multiplexer is the kind.
    """
    term = environment.get("TERM", "dumb")
    if environment.get("TMUX") or term.startswith("tmux"):
        return "tmux"
    if environment.get("STY") or term.startswith("screen"):
        return "screen"
    program = environment.get("TERM_PROGRAM", "")
    for kind, is_it in (
        ("kitty", term == "xterm-kitty"),
        ("ghostty", term == "xterm-ghostty" or program == "ghostty"),
        ("foot", term.startswith("foot")),
        ("alacritty", term.startswith("alacritty")),
        ("linux", term == "linux"),
        ("windows-terminal", "WT_SESSION" in environment),
        ("vte", "VTE_VERSION" in environment),
    ):
        if is_it:
            return kind
    return safe(program or term, 40)


def may_show_pixels(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a person may try pixels here: the terminal shows them, or does not say what it is.

    tmux passes them on if `allow-passthrough` is on; over SSH kitty often calls itself xterm.
    Others that are known by name print the bytes of a picture as text, or nothing.
    """
    kind = terminal_kind(environment)
    return kind in (*_WITH_PIXELS, "tmux") or kind.startswith("xterm")


def default_way(environment: Mapping[str, str] = os.environ) -> str:
    """The finest way that this terminal shows for sure."""
    kind = terminal_kind(environment)
    if kind in _WITH_PIXELS:
        return PIXELS
    if kind == "vte":
        version = environment["VTE_VERSION"]
        return "sextant" if version.isdecimal() and int(version) >= _SEXTANT_VTE else "quadrant"
    if kind in ("foot", "alacritty", "windows-terminal"):
        return "sextant"
    return "half" if kind == "linux" else "quadrant"


def remembered(
    before: Mapping[str, str], way: str, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What is remembered by kind of terminal once a way was chosen for this one; `auto` forgets it."""
    others = {kind: one for kind, one in before.items() if kind != terminal_kind(environment)}
    return others if way == "auto" else {**others, terminal_kind(environment): way}


def choose_way(
    asked: str,
    chosen: Mapping[str, str],
    *,
    ascii: bool = False,
    pixels: bool = True,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """The way to draw: one of DRAWN.

    Args:
        asked: what `--pictures` says, one of ASKED.
        chosen: what the person chose by kind of terminal.
        ascii: whether only ASCII may be shown; then pictures are letters, or off.
        pixels: whether pixels can be shown where the result is drawn; cells take their place otherwise.
        environment: of the process.
    """
    way = asked if asked != "auto" else chosen.get(terminal_kind(environment), "")
    if way not in DRAWN:  # nothing was chosen, or by another version
        way = default_way(environment)
    if ascii:
        return "off" if way == "off" else "letters"
    return INSTEAD_OF_PIXELS if way == PIXELS and not pixels else way
