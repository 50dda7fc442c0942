"""Display options of `tmssl watch` that last for one session; preferences.py holds what is saved."""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tmssl.errors import InputError
from tmssl.text import safe
from tui.pictures.pixels import PixelPictures
from tui.pictures.ways import choose_way, terminal_kind
from tui.preferences import Preferences

if TYPE_CHECKING:
    from textual.app import App

IMAGES = ("auto", "block", "kitty", "iterm2", "off")
_ITERM2 = ("iTerm.app", "WezTerm")


@dataclasses.dataclass(frozen=True)
class DisplayOptions:
    """What the terminal and the connection can display."""

    ascii: bool = False
    """only ASCII in charts and frames"""
    note: str = ""
    """why they are not what the person may expect, told when the monitor opens"""
    colour: bool = True
    """False as under NO_COLOR"""
    redraw_s: float = 1.0
    """minimum seconds between two drawings of the charts; longer for a slow link"""
    notify: bool = False
    """whether to ring the bell when a run ends or a finding is bad"""
    images: str = "auto"
    """graphics protocol of pictures at full resolution: one of IMAGES"""
    pictures: str = "auto"
    """how pictures are drawn in the app: one of `tui.pictures.ways.ASKED`"""
    dark: bool = True
    """whether the theme's background is dark"""


FULL = DisplayOptions()
PLAIN = DisplayOptions(colour=False)
LOW_BANDWIDTH_S = 10.0  # `--low-bandwidth`


def display_options(app: "App[Any]") -> DisplayOptions:
    """The display options of an app, with the background of its current theme."""
    options: DisplayOptions = getattr(app, "display_options", FULL)
    return dataclasses.replace(options, dark=app.current_theme.dark)


def picture_way(app: "App[Any]") -> str:
    """How an app draws pictures now: one of `tui.pictures.ways.DRAWN`."""
    options = display_options(app)
    remembered = getattr(app, "preferences", Preferences()).pictures
    return choose_way(options.pictures, remembered, ascii=options.ascii, pixels=options.colour)


def pixel_pictures(app: "App[Any]") -> PixelPictures | None:
    """Where an app keeps what it shows in pixels, if it has such a place."""
    return getattr(app, "pixels", None)


def needs_picture_hint(app: "App[Any]") -> bool:
    """Whether to tell a person that pictures can be chosen: once, and only if nothing was chosen."""
    options, preferences = display_options(app), getattr(app, "preferences", Preferences())
    chosen = options.pictures != "auto" or terminal_kind() in preferences.pictures
    return not (preferences.hinted or chosen or options.ascii)


def graphics_protocol(images: str, environment: Mapping[str, str] = os.environ) -> str:
    """The protocol for pictures at full resolution: `block`, `kitty`, `iterm2` or `off`.

    `auto` is decided by environment variables alone. It is `block` in tmux, which passes graphics on
    only if configured to.

    Raises:
        InputError: `images` is not one of IMAGES.
    """
    if images not in IMAGES:
        raise InputError(f"--images is '{safe(images, 60)}'; give one of {', '.join(IMAGES)}")
    if images != "auto":
        return images
    if "TMUX" in environment or environment.get("TERM", "").startswith(("screen", "tmux")):
        return "block"
    if "KITTY_WINDOW_ID" in environment or environment.get("TERM_PROGRAM") == "ghostty":
        return "kitty"
    return "iterm2" if environment.get("TERM_PROGRAM") in _ITERM2 else "block"
