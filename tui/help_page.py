"""The page of all keys."""

from collections.abc import Sequence

from textual.binding import BindingType

from tui.bindings import help_lines
from tui.widgets.text_screen import TextScreen


class HelpPage(TextScreen):
    """Every key, beginning with those of one screen."""

    def __init__(self, bindings: Sequence[BindingType]) -> None:
        super().__init__("Keys", help_lines(bindings))
