"""`--topk 10 100`: an option that takes every number that follows it."""

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

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
