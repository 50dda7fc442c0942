"""The table of commands; each module is imported when its command is run or asked for help."""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from cli.command import HelpCommand, NumbersCommand


@dataclasses.dataclass(frozen=True)
class Entry:
    """The line of a command in `tmssl --help`, and its function in `cli.commands`."""

    line: str
    function: str = ""  # where its name is not the command's
    cls: type[HelpCommand] = HelpCommand


COMMANDS = {
    "demo": Entry("Draw toy marks, train on them, evaluate, and show matches."),
    "train": Entry("Train on a folder or table of images, or resume a run."),
    "sweep": Entry("Train runs of different settings in turn, and compare them."),
    "watch": Entry("Watch a run, or all runs of a folder."),
    "eval": Entry("Evaluate retrieval against chance and references.", "evaluate", NumbersCommand),
    "search": Entry("Find the marks that resemble a logo."),
    "add": Entry("Add marks to those that a run searches."),
    "remove": Entry("Remove marks from those that a run searches."),
    "runs": Entry("List the runs: state, epoch, loss, best evaluation."),
    "stop": Entry("Stop the trainer of a run after its current step."),
    "data": Entry("Describe a source of images."),
    "pack": Entry("Decode the images of a source once, for training."),
    "tail": Entry("Print the events of a run as lines."),
    "report": Entry("Write the training report of a run.", "report_command"),
    "export": Entry("Write the encoder, embeddings or journal of a run."),
    "import": Entry("Import a plain-text training log as a run.", "import_log"),
    "doctor": Entry("Check this machine and say what to fix."),
    "completion": Entry("Print the completion script of a shell."),
}


class LazyCommands(Mapping[str, Any]):
    """Commands by name, each imported on first use."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            entry = COMMANDS[name]
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            module = importlib.import_module(module_of(name))
            app.command(name, cls=entry.cls)(getattr(module, entry.function or name))
            self._loaded[name] = typer.main.get_command(app)
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS


def module_of(command: str) -> str:
    """Name of the module that holds a command."""
    return f"cli.commands.{'import_log' if command == 'import' else command}"


class LazyGroup(TyperGroup):
    """The group of all commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = LazyCommands()  # type: ignore[assignment]  # nothing is ever added to it

    def get_help_option(self, ctx: Any) -> Any:
        """The option `--help`, off unless given: typer loads pydantic (0.1 s) to coerce no value at all."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the lines of the table, which needs no import."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])
