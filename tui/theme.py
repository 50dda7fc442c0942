"""Light and dark: every colour that words are shown in, readable on everything they stand on.

The sixteen colours of a terminal are replaced by these, so that what a widget calls green is readable
in both; a test measures each word of each screen.
"""

import os
from collections.abc import Mapping

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

QUIET = "bright_black"  # for words that matter less; `dim` would halve their contrast

DARK = Theme(
    name="tmssl-dark",
    dark=True,
    primary="#5ea1e6",
    secondary="#8ab4f8",
    accent="#f2b84b",
    warning="#f2b84b",
    error="#ff7b72",
    success="#7ddc7d",
    foreground="#e6e6e6",
    background="#121212",
    surface="#1b1b1b",
    panel="#202a33",
    boost="#262f38",
    variables={
        "block-cursor-background": "#24405f",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#24405f",
        "block-cursor-blurred-foreground": "#ffffff",
        "input-selection-background": "#24405f",
        "footer-key-foreground": "#f2b84b",
    },
)
LIGHT = Theme(
    name="tmssl-light",
    dark=False,
    primary="#0b57a4",
    secondary="#1b5e8f",
    accent="#7a4b00",
    warning="#7a4b00",
    error="#a8201a",
    success="#136326",
    foreground="#1a1a1a",
    background="#fbfbfb",
    surface="#f3f3f3",
    panel="#e4e9ee",
    boost="#e4e9ee",
    variables={
        "block-cursor-background": "#cfe2f7",
        "block-cursor-foreground": "#000000",
        "block-cursor-blurred-background": "#cfe2f7",
        "block-cursor-blurred-foreground": "#000000",
        "input-selection-background": "#cfe2f7",
        "footer-key-foreground": "#7a4b00",
    },
)


def _rgb(*colours: str) -> list[tuple[int, int, int]]:
    """`#rrggbb` as numbers."""
    return [(int(c[1:3], 16), int(c[3:5], 16), int(c[5:7], 16)) for c in colours]


# Black, red, green, yellow, blue, magenta, cyan, white; then the bright ones.
DARK_COLOURS = TerminalTheme(
    _rgb("#121212")[0],
    _rgb("#e6e6e6")[0],
    _rgb("#9a9a9a", "#ff7b72", "#7ddc7d", "#f2c14b", "#79b8ff", "#e3a0ff", "#5fd7e0", "#e6e6e6"),
    _rgb("#a3a3a3", "#ff938b", "#96e696", "#ffd670", "#9ccaff", "#efbdff", "#86e3ea", "#ffffff"),
)
LIGHT_COLOURS = TerminalTheme(
    _rgb("#fbfbfb")[0],
    _rgb("#1a1a1a")[0],
    _rgb("#1a1a1a", "#a8201a", "#136326", "#6b4c00", "#0b57a4", "#7c1f7c", "#00596b", "#3d3d3d"),
    _rgb("#545454", "#a8201a", "#136326", "#6b4c00", "#0b57a4", "#7c1f7c", "#00596b", "#1a1a1a"),
)


def usual_theme(environment: Mapping[str, str] = os.environ) -> str:
    """Dark, unless COLORFGBG says that the terminal's ground is light; the terminal is not asked."""
    ground = environment.get("COLORFGBG", "").rpartition(";")[2]
    return LIGHT.name if ground in ("7", "15") else DARK.name
