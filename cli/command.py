"""How a command of `tmssl` parses its arguments and prints its help; the options are elsewhere."""

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand

# Headings of `--help`, in this order; an option names its own by `rich_help_panel`.
DATA, MODEL, OPTIMIZATION, RUN, EVALUATION, OUTPUT = (
    "Data Model Optimization Run Evaluation Output".split()
)
_ARGUMENTS, _OPTIONS = "Arguments", "Options"
_ORDER = (_ARGUMENTS, DATA, MODEL, OPTIMIZATION, RUN, EVALUATION, OUTPUT, _OPTIONS)
_NUMBERS = re.compile(r"\d+(,\d+)*")


class HelpCommand(TyperCommand):
    """A command whose help lists arguments and options under headings."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The usage line with a required argument as `LOGO...`, which typer writes as `{LOGO}...`."""
        pieces = super().collect_usage_pieces(ctx)
        return [re.sub(r"^\{([A-Z]+)[.]*\}", r"\1", piece) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write one section per heading; a single heading is not worth a section."""
        sections: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _ORDER}
        params = [param for param in self.get_params(ctx) if not getattr(param, "hidden", False)]
        panels = {getattr(param, "rich_help_panel", None) for param in params} - {None}
        for param in params:
            is_argument = param.param_type_name == "argument"
            panel = getattr(param, "rich_help_panel", None) if len(panels) > 1 else None
            heading = panel or (_ARGUMENTS if is_argument else _OPTIONS)
            sections[heading].append(_help_line(param, is_argument))
        for heading, lines in sections.items():
            if lines:
                with formatter.section(heading):
                    formatter.write_dl(lines)


def _help_line(param: Any, is_argument: bool) -> tuple[str, str]:
    """Names with the metavariable, and the help text with the default."""
    if is_argument:
        return param.metavar, param.help
    names = " / ".join(", ".join(opts) for opts in (param.opts, param.secondary_opts) if opts)
    default = param.default
    if param.is_flag or default in (None, "") or not getattr(param, "show_default", False):
        shown = ""
    else:
        value = " ".join(map(str, default)) if isinstance(default, list) else default
        shown = f"  [default: {value}]"
    return names if param.is_flag else f"{names} {param.metavar}", f"{param.help}{shown}"


class NumbersCommand(HelpCommand):
    """A command whose `--topk` (`-k`) takes one or more numbers."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Rewrite the arguments, then parse them as usual."""
        return super().parse_args(ctx, repeat_option(args, ("--topk", "-k")))


def repeat_option(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Turn `--topk 10 100` and `--topk 10,100` into `--topk 10 --topk 100`.

    Stops at `--`. Leaves anything that is not a number to the parser.
    """
    rewritten: list[str] = []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        if argument == "--":
            return [*rewritten, argument, *remaining]
        name, equals, value = argument.partition("=")
        if name not in names:
            rewritten.append(argument)
            continue
        values = [value] if equals else []
        while remaining and _NUMBERS.fullmatch(remaining[0]):
            values.append(remaining.pop(0))
        if not values:
            rewritten.append(argument)
        for number in ",".join(values).split(",") if values else ():
            rewritten += [name, number]
    return rewritten
