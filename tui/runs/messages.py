"""Messages between the list of runs, its reader and the app."""

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tmssl.runs.folder import Run
    from tmssl.runs.listing import Row


class RunsRead(Message):
    """Runs of the folder were read."""

    def __init__(self, rows: "tuple[Row, ...]", names: frozenset[str], is_complete: bool) -> None:
        """What was read.

        Args:
            rows: of new and changed runs.
            names: of all runs that are there.
            is_complete: whether each of them was read at least once.
        """
        super().__init__()
        self.rows = rows
        self.names = names
        self.is_complete = is_complete


class OpenRun(Message):
    """The user wants to watch a run."""

    def __init__(self, run: "Run") -> None:
        super().__init__()
        self.run = run


class StartRun(Message):
    """The user wants to start a run."""

    def __init__(self, recipe: str, name: str, settings: tuple[str, ...]) -> None:
        super().__init__()
        self.recipe = recipe
        self.name = name
        self.settings = settings
