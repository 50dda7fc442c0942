"""The table of commands, each of which is imported when it is run or asked for help, and not before."""

import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

_NUMBERS = re.compile(r"\d+(,\d+)*")


def expand_greedy(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Arguments in which `--topk 10 100` and `--topk 10,100` became `--topk 10 --topk 100`.

    Stops at `--`; anything that is not a number is left for the parser to judge.
    """
    found: list[str] = []
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            return [*found, argument, *waiting]
        name, equals, value = argument.partition("=")
        if name not in names:
            found.append(argument)
            continue
        values = [value] if equals else []
        while waiting and _NUMBERS.fullmatch(waiting[0]):
            values.append(waiting.pop(0))
        if not values:
            found.append(argument)
        for number in ",".join(values).split(",") if values else ():
            found += [name, number]
    return found


class GreedyCommand(TyperCommand):
    """A command whose `--topk` (`-k`) takes one or more numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Rewrite the arguments, then parse them as usual."""
        return super().parse_args(ctx, expand_greedy(args, ("--topk", "-k")))


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a command is, and its line in `tmssl --help`."""

    module: str
    function: str
    line: str
    kind: type[TyperCommand] = TyperCommand


COMMANDS = {
    "demo": Entry(
        "cli.commands.demo", "demo", "Draw toy marks, train on them, evaluate, show matches."
    ),
    "train": Entry(
        "cli.commands.train", "train", "Train on a folder or table of images, or resume a run."
    ),
    "watch": Entry("cli.commands.watch", "watch", "Watch a run, or every run of a folder."),
    "eval": Entry(
        "cli.commands.eval",
        "evaluate",
        "Evaluate retrieval against chance and references.",
        GreedyCommand,
    ),
    "search": Entry("cli.commands.search", "search", "Find the marks that a logo resembles."),
    "runs": Entry(
        "cli.commands.runs", "runs", "List the runs: state, epoch, loss, best evaluation."
    ),
    "stop": Entry("cli.commands.stop", "stop", "Stop a run's trainer after its step."),
    "data": Entry("cli.commands.data", "data", "Say what a source of images holds."),
    "pack": Entry("cli.commands.pack", "pack", "Decode a source's images once, for training."),
    "tail": Entry("cli.commands.tail", "tail", "Print a run's events as lines."),
    "report": Entry("cli.commands.report", "report_command", "Write a run's training log report."),
    "export": Entry(
        "cli.commands.export", "export", "Write a run's encoder, embeddings or journal."
    ),
    "import": Entry(
        "cli.commands.import_log", "import_log", "Import a training log of plain lines as a run."
    ),
    "doctor": Entry(
        "cli.commands.doctor", "doctor", "Look at what this machine has, and what to mend."
    ),
    "completion": Entry(
        "cli.commands.completion", "completion", "Print a shell's completion script."
    ),
}


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
