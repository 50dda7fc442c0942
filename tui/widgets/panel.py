"""A widget in a thin frame with its title in the frame; `app.tcss` says how each width draws it."""

from typing import TypeVar

from rich.text import Text
from textual.content import Content
from textual.widget import Widget

Framed = TypeVar("Framed", bound=Widget)


def panel(widget: Framed, title: str | Text = "") -> Framed:
    """Put a widget into a frame, and return it; the title's text is shown as it is."""
    widget.add_class("panel", update=False)  # it gets its styles when it is mounted
    set_title(widget, title)
    return widget


def set_title(widget: Widget, title: str | Text) -> None:
    """Change the title of a panel, and draw its frame again only if that is another one."""
    content = Content(title) if isinstance(title, str) else Content.from_rich_text(title)
    before = widget._border_title  # reading `border_title` would give it as markup
    if before is None or (before.plain, before.spans) != (content.plain, content.spans):
        widget.border_title = content
