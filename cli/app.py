"""The `tmssl` command: one typer app, and the place where an error becomes an exit code."""

import errno
import os
import sys
from typing import Annotated

import typer

from cli.completion import VARIABLE, completion
from cli.data import data
from cli.demo import demo
from cli.doctor import doctor
from cli.eval import evaluate
from cli.export import export
from cli.greedy import GreedyCommand
from cli.import_log import import_log
from cli.pack import pack
from cli.report import report_command
from cli.runs import runs
from cli.search import search
from cli.stop import stop
from cli.tail import tail
from cli.train import train
from cli.watch import watch
from tmssl.errors import TmsslError
from tmssl.text import safe

app = typer.Typer(
    name="tmssl",
    help="Self-supervised retrieval for trademarks, run and watched from a terminal.",
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help opens in a third of the time
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("demo")(demo)
app.command("train")(train)
app.command("watch")(watch)
app.command("eval", cls=GreedyCommand)(evaluate)
app.command("search")(search)
app.command("runs")(runs)
app.command("stop")(stop)
app.command("data")(data)
app.command("pack")(pack)
app.command("tail")(tail)
app.command("report")(report_command)
app.command("export")(export)
app.command("import")(import_log)
app.command("doctor")(doctor)
app.command("completion")(completion)


def _show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        print(f"tmssl {version('tmssl')}")  # noqa: T201 - stdout is data
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Self-supervised retrieval for trademarks, run and watched from a terminal."""


def main() -> None:
    """Run the command line; a named error is one line on stderr and its exit code."""
    if VARIABLE in os.environ:
        from typer.completion import (  # type: ignore[attr-defined]  # re-exported without saying so
            completion_init,
        )

        completion_init()
    try:
        app(prog_name="tmssl")
    except TmsslError as error:
        print(f"tmssl: {error}", file=sys.stderr)  # noqa: T201 - words go to stderr
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our stdout went away, as `| head` does; that is no failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f": {safe(error.filename)}" if error.filename else ""
        print(f"tmssl: {error.strerror}{where}; free disk space and try again", file=sys.stderr)  # noqa: T201 - words go to stderr
        raise SystemExit(1) from None
