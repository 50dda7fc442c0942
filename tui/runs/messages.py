"""Messages between the list of runs, its reader and the app."""

from textual.message import Message

from tmssl.runs.folder import Run
from tmssl.runs.listing import Row


class RunRead(Message):
    """A run of the folder was read."""

    def __init__(self, row: Row) -> None:
        super().__init__()
        self.row = row


class FolderRead(Message):
    """All runs of the folder were read."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names = names


class OpenRun(Message):
    """The user wants to watch a run."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run


class StartRun(Message):
    """The user wants to start a run."""

    def __init__(self, recipe: str, name: str, settings: tuple[str, ...]) -> None:
        super().__init__()
        self.recipe = recipe
        self.name = name
        self.settings = settings
