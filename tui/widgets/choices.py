"""A list to choose a line from; the screen decides what enter does."""

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option


class Choices(OptionList, inherit_bindings=False):
    """An OptionList whose cursor stays on its line when other lines come and go."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Up", show=False),
        Binding("down", "cursor_down", "Down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("home", "first", "First", show=False),
        Binding("end", "last", "Last", show=False),
    ]

    def show(self, lines: Sequence[tuple[str, Text]]) -> None:
        """Show (name, text) lines; only changed ones are drawn again."""
        names = [name for name, _ in lines]
        for _, text in lines:
            text.no_wrap, text.overflow = True, "ellipsis"
        if names == [option.id for option in self.options]:
            for option, (name, text) in zip(self.options, lines, strict=True):
                if option.prompt != text:
                    self.replace_option_prompt(name, text)
            return
        before = self.chosen
        self.set_options([Option(text, id=name) for name, text in lines])
        if names:
            self.highlighted = names.index(before) if before in names else 0

    @property
    def chosen(self) -> str:
        """The name of the line under the cursor; empty without lines."""
        option = self.highlighted_option
        return (option.id or "") if option else ""

    def choose(self, name: str) -> None:
        """Put the cursor on the line of a name, if there is one."""
        for i, option in enumerate(self.options):
            if option.id == name:
                self.highlighted = i
