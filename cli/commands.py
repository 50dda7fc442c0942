"""The table of commands, each of which is imported when it is run or asked for help, and not before."""

import dataclasses
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.greedy import GreedyCommand


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a command is, and its line in `tmssl --help`."""

    module: str
    function: str
    line: str
    kind: type[TyperCommand] = TyperCommand


COMMANDS = {
    "demo": Entry("cli.demo", "demo", "Draw toy marks, train on them, evaluate, show matches."),
    "train": Entry("cli.train", "train", "Train on a folder or table of images, or resume a run."),
    "watch": Entry("cli.watch", "watch", "Watch a run, or every run of a folder."),
    "eval": Entry("cli.eval", "evaluate", "Evaluate retrieval against chance and references.", GreedyCommand),
    "search": Entry("cli.search", "search", "Find the marks that a logo resembles."),
    "runs": Entry("cli.runs", "runs", "List the runs: state, epoch, loss, best evaluation."),
    "stop": Entry("cli.stop", "stop", "Stop a run's trainer after its step."),
    "data": Entry("cli.data", "data", "Say what a source of images holds."),
    "pack": Entry("cli.pack", "pack", "Decode a source's images once, for training."),
    "tail": Entry("cli.tail", "tail", "Print a run's events as lines."),
    "report": Entry("cli.report", "report_command", "Write a run's training log report."),
    "export": Entry("cli.export", "export", "Write a run's encoder, embeddings or journal."),
    "import": Entry("cli.import_log", "import_log", "Import a training log of plain lines as a run."),
    "doctor": Entry("cli.doctor", "doctor", "Look at what this machine has, and what to mend."),
    "completion": Entry("cli.completion", "completion", "Print a shell's completion script."),
}  # fmt: skip


class Loaded(Mapping[str, Any]):
    """Commands by name, each imported the first time that it is taken."""

    def __init__(self) -> None:
        self._taken: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._taken:
            entry = COMMANDS[name]
            one = typer.Typer(add_completion=False, rich_markup_mode=None)
            function = getattr(importlib.import_module(entry.module), entry.function)
            one.command(name, cls=entry.kind)(function)
            self._taken[name] = typer.main.get_command(one)
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)
        self.commands = Loaded()  # type: ignore[assignment]  # nothing is ever added to it

    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order of the table."""
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The lines of the table, for which nothing is imported."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.line) for name, entry in COMMANDS.items()])
