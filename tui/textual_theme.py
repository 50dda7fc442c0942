"""The light and the dark theme as Textual takes them: every text colour has enough contrast on every background.

They also replace the sixteen colours of a terminal, so that a widget's `green` is readable in both.
A test measures the contrast of each word on each screen.
"""

import dataclasses
import os
from collections.abc import Mapping

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

from tui.theme import COLOURS, GROUND


def _with_cursor(theme: Theme, *, background: str, foreground: str) -> Theme:
    """A theme with the colours of the chosen line and of selected text; keys have the accent."""
    variables = {
        "footer-key-foreground": str(theme.accent),
        "input-selection-background": background,
        "line": COLOURS["quiet"][not theme.dark],
    }
    for cursor in ("block-cursor", "block-cursor-blurred"):
        variables |= {f"{cursor}-background": background, f"{cursor}-foreground": foreground}
    return dataclasses.replace(theme, variables=variables)


DARK = _with_cursor(
    Theme(
        name="tmssl-dark",
        dark=True,
        primary="#5ea1e6",
        secondary="#8ab4f8",
        accent=COLOURS["accent"][0],
        warning=COLOURS["accent"][0],
        error="#ff7b72",
        success="#7ddc7d",
        foreground="#e6e6e6",
        background=GROUND[0],
        surface="#1b1b1b",
        panel="#202a33",
        boost="#262f38",
    ),
    background="#24405f",
    foreground="#ffffff",
)
LIGHT = _with_cursor(
    Theme(
        name="tmssl-light",
        dark=False,
        primary="#0b57a4",
        secondary="#1b5e8f",
        accent=COLOURS["accent"][1],
        warning=COLOURS["accent"][1],
        error="#a8201a",
        success="#136326",
        foreground="#1a1a1a",
        background=GROUND[1],
        surface="#f3f3f3",
        panel="#e4e9ee",
        boost="#e4e9ee",
    ),
    background="#cfe2f7",
    foreground="#000000",
)


def _rgb(*colours: str) -> list[tuple[int, int, int]]:
    """Colours written as `#rrggbb`, as numbers from 0 to 255."""
    return [(int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16)) for c in colours]


# Background, foreground, then black, red, green, yellow, blue, magenta, cyan, white, and the bright ones.
DARK_COLOURS = TerminalTheme(
    _rgb(GROUND[0])[0],
    _rgb("#e6e6e6")[0],
    _rgb("#9a9a9a", "#ff7b72", "#7ddc7d", "#f2c14b", "#79b8ff", "#e3a0ff", "#5fd7e0", "#e6e6e6"),
    _rgb("#a3a3a3", "#ff938b", "#96e696", "#ffd670", "#9ccaff", "#efbdff", "#86e3ea", "#ffffff"),
)
LIGHT_COLOURS = TerminalTheme(
    _rgb(GROUND[1])[0],
    _rgb("#1a1a1a")[0],
    _rgb("#1a1a1a", "#a8201a", "#136326", "#6b4c00", "#0b57a4", "#7c1f7c", "#00596b", "#3d3d3d"),
    _rgb("#545454", "#a8201a", "#136326", "#6b4c00", "#0b57a4", "#7c1f7c", "#00596b", "#1a1a1a"),
)


def default_theme(environment: Mapping[str, str] = os.environ) -> str:
    """The dark theme, unless COLORFGBG says that the terminal's background is light; sends no query."""
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if background in ("7", "15") else DARK.name
