"""Screens with a text field that is hidden until the search key is pressed."""

from typing import ClassVar

from textual import on
from textual.screen import Screen
from textual.widgets import Input


class SearchableScreen(Screen[None]):
    """The field is `#search`; the subclass searches for what is typed there."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action may run: in a text field, a slash is a character."""
        return action != "search" or not isinstance(self.focused, Input)

    def action_search(self) -> None:
        """Show the field and focus it."""
        field = self.query_one("#search", Input)
        field.display = True
        self.set_focus(field)  # at once, for the next key


class FilteredScreen(SearchableScreen):
    """A screen that shows only what contains the typed text, and all after escape."""

    CONTENT: ClassVar[str]
    """selector of what is filtered, which gets the focus back"""

    filter_text = ""

    def show_content(self) -> None:
        """Show what contains `filter_text`."""
        raise NotImplementedError

    @on(Input.Changed, "#search")
    def _set_filter(self, event: Input.Changed) -> None:
        self.filter_text = event.value.strip()
        self.show_content()

    @on(Input.Submitted, "#search")
    def _leave_field(self) -> None:
        self.query_one("#search").display = bool(self.filter_text)
        self.query_one(self.CONTENT).focus()

    def action_back(self) -> None:
        """Clear the filter, or go back if there is a screen to go back to."""
        field = self.query_one("#search", Input)
        if field.display:
            field.value = self.filter_text = ""
            self._leave_field()
            self.show_content()
        elif len(self.app.screen_stack) > 2:  # the lowest screen is Textual's own
            self.app.pop_screen()
