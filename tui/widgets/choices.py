"""A list of lines with a cursor, for the keyboard and the mouse; what enter does is the screen's."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Choices(OptionList, inherit_bindings=False):
    """Lines to choose from; the cursor stays on its line when others come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Up", show=False),
        Binding("down", "cursor_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
    ]

    def show(self, lines: Sequence[tuple[str, Text]]) -> None:
        """Show lines by name; what has not changed is not drawn again."""
        names = [name for name, _ in lines]
        for _, text in lines:
            text.no_wrap, text.overflow = True, "ellipsis"
        if names == [option.id for option in self.options]:
            for option, (name, text) in zip(self.options, lines, strict=True):
                if option.prompt != text:
                    self.replace_option_prompt(name, text)
            return
        here = self.chosen
        self.set_options([Option(text, id=name) for name, text in lines])
        if names:
            self.highlighted = names.index(here) if here in names else 0

    @property
    def chosen(self) -> str:
        """Name of the line under the cursor, empty when there is none."""
        option = self.highlighted_option
        return (option.id or "") if option else ""

    def choose(self, name: str) -> None:
        """Put the cursor on a line, if it is there."""
        for place, option in enumerate(self.options):
            if option.id == name:
                self.highlighted = place
