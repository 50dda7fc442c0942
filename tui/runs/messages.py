"""What the list of runs and its reader tell each other and the app."""

from textual.message import Message

from tmssl.runs.folder import Run
from tmssl.runs.listing import Row


class RowSeen(Message):
    """A run of the folder was read; without a row, all of them were, by these names."""

    def __init__(self, row: Row | None, seen: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.row = row
        self.seen = seen


class OpenRun(Message):
    """A person wants to watch a run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


class StartRun(Message):
    """A person wants to start a run."""

    def __init__(self, recipe: str, name: str, settings: tuple[str, ...]) -> None:
        super().__init__()
        self.recipe = recipe
        self.name = name
        self.settings = settings
