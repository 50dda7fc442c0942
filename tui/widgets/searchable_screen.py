"""A screen with a text field that comes when it is asked for."""

from textual.screen import Screen
from textual.widgets import Input


class SearchableScreen(Screen[None]):
    """Its field is `#search`, in which a slash is a letter; what is typed there is the screen's own business."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Whether an action may run now: within a text field, a slash is a letter."""
        return action != "search" or not isinstance(self.focused, Input)

    def action_search(self) -> None:
        """Show the field."""
        field = self.query_one("#search", Input)
        field.display = True
        self.set_focus(field)  # at once: what is typed next is meant for it
