"""A screen with a search field that is hidden until a person searches."""

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
