"""The choice of how pictures are drawn: the card for a screen, and what follows from its answer."""

import dataclasses
from typing import Any

from textual.screen import Screen

from tui.messages import ShowsPictures
from tui.options import DisplayOptions
from tui.pictures.card import PictureCard
from tui.pictures.pixels import PixelPictures
from tui.pictures.specimen import specimen
from tui.pictures.ways import CELLS, PIXELS, may_show_pixels, remembered
from tui.preferences import Preferences


def picture_card(screen: Screen[Any], pixels: PixelPictures, colour: bool) -> PictureCard:
    """The card with a mark of the screen, or a drawn one, in each way that may work here."""
    mark = screen.sample_mark() if isinstance(screen, ShowsPictures) else None
    ways = (*CELLS, PIXELS) if colour and may_show_pixels() else CELLS
    return PictureCard(specimen() if mark is None else mark, ways, pixels)


def kept(
    options: DisplayOptions, preferences: Preferences, way: str
) -> tuple[DisplayOptions, dict[str, str]]:
    """The options of the rest of the session, where the choice goes before `--pictures`; and what is remembered."""
    return dataclasses.replace(options, pictures="auto"), remembered(preferences.pictures, way)


def draw_anew(screen: Screen[Any]) -> None:
    """Draw the pictures of a screen, if it has any, in the way that was chosen."""
    if isinstance(screen, ShowsPictures):
        screen.draw_pictures()
