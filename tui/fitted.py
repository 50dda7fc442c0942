"""A widget whose content is made for its size."""

from textual.message import Message
from textual.widgets import Static


class Fitted(Static):
    """Tells its screen of another size, so that the content is made anew."""

    class Resized(Message):
        """The size has changed."""

    def on_resize(self) -> None:
        """Let the screen make the content anew."""
        self.post_message(self.Resized())
