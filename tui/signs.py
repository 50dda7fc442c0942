"""The signs of states and levels: each is a mark, a word and a colour, so that none needs its colour."""

import dataclasses

from rich.text import Text

from tmssl.text import safe
from tui.theme import StyleOf


@dataclasses.dataclass(frozen=True)
class Sign:
    """What stands for a state or a level."""

    mark: str
    word: str
    colour: str
    """a name of `tui.theme.COLOURS`"""

    @property
    def text(self) -> str:
        """`> running`."""
        return f"{self.mark} {self.word}"


STATES = {
    "running": Sign(">", "running", "green"),
    "finished": Sign("#", "finished", "cyan"),
    "stopped": Sign("=", "stopped", "gold"),
    "failed": Sign("!", "failed", "red"),
    "dead": Sign("x", "dead", "red"),
    "waiting": Sign(".", "waiting", "gold"),
}
"""of a run"""

LEVELS = {
    "bad": Sign("!!", "bad", "red"),
    "warning": Sign("!", "warning", "gold"),
    "good": Sign("+", "good", "green"),
    "info": Sign("i", "info", "cyan"),
}
"""of a finding"""

_BADGE = max(len(sign.text) for sign in STATES.values()) + 2


def level_sign(level: str) -> Sign:
    """The sign of a level; one that this version does not know counts as a warning."""
    return LEVELS.get(level) or Sign("!", safe(level, 8), "gold")


def badge(sign: Sign, style_of: StyleOf, width: int = _BADGE) -> Text:
    """A sign on its colour, in at least `width` cells: ` > running `."""
    colour = style_of(sign.colour)
    style = f"bold {style_of('ground')} on {colour}" if colour else "bold"
    return Text(f" {sign.text} ".ljust(width), style)
