"""The dialog that chooses the columns of the list of runs, and what the list is sorted by."""

import dataclasses
from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tmssl.text import safe
from tui.bindings import COLUMNS, hint
from tui.widgets.dialog import Dialog
from tui.widgets.long_list import LongList


@dataclasses.dataclass(frozen=True)
class ListLayout:
    """Which columns the list of runs has, and its order."""

    columns: tuple[str, ...]
    """names of `Row.facts`, from the left"""
    order: str = ""
    """what it is sorted by, after a minus if the largest comes first; empty for the newest first"""

    def switched(self, key: str) -> "ListLayout":
        """With a column added at the left, where it is seen at every width, or without it."""
        rest = tuple(one for one in self.columns if one != key)
        columns = rest if key in self.columns else (key, *self.columns)
        return dataclasses.replace(self, columns=columns)

    def sorted_by(self, key: str) -> "ListLayout":
        """Sorted by a column: first the largest first, then the smallest first, then not at all."""
        orders = (f"-{key}", key, "")
        at = orders.index(self.order) if self.order in orders else 2
        return dataclasses.replace(self, order=orders[(at + 1) % 3])


class ColumnDialog(Dialog[ListLayout]):
    """Every figure and setting of the runs, each shown or not."""

    BINDINGS = COLUMNS

    AUTO_FOCUS = "#kept"

    def __init__(self, offered: Sequence[str], layout: ListLayout) -> None:
        super().__init__()
        self._offered = offered
        self._layout_wanted = layout

    def compose(self) -> ComposeResult:
        """The names, and the keys."""
        with Vertical(id="dialog"):
            yield Static(Text("Columns, the last chosen first; as many as fit are shown\n", "bold"))
            yield LongList(id="kept")
            yield Static(Text(f"\n{hint(COLUMNS)}"))

    def on_mount(self) -> None:
        """Fill the list, the chosen ones first."""
        chosen = [key for key in self._layout_wanted.columns if key in self._offered]
        names = [*chosen, *(key for key in self._offered if key not in chosen)]
        self.query_one(LongList).show(names, self._line)

    def _line(self, key: str) -> Text:
        """A name with its place among the columns, and the order if the list is sorted by it."""
        columns, order = self._layout_wanted.columns, self._layout_wanted.order
        place = str(columns.index(key) + 1) if key in columns else ""
        line = Text(f"[{place:>2}] {safe(key, 48):48}")
        if order.removeprefix("-") == key:
            line.append("largest first" if order.startswith("-") else "smallest first", "bold")
        return line

    def action_mark(self) -> None:
        """Show or hide the column under the cursor."""
        self._take(self._layout_wanted.switched(self.query_one(LongList).chosen))

    def action_sort(self) -> None:
        """Sort by the column under the cursor."""
        self._take(self._layout_wanted.sorted_by(self.query_one(LongList).chosen))

    def _take(self, layout: ListLayout) -> None:
        self._layout_wanted = layout
        self.query_one(LongList).refresh()

    def action_confirm(self) -> None:
        """Use the chosen columns."""
        self.close(self._layout_wanted)

    def on_long_list_selected(self) -> None:
        """Use the chosen columns, by a click."""
        self.action_confirm()
