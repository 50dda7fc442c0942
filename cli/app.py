"""The `tmssl` command: the typer app, and the place where an error becomes an exit code."""

import errno
import os
import sys
from typing import Annotated

import typer

from cli.commands.completion import VARIABLE
from cli.lazy import LazyGroup
from cli.output.console import say, say_data
from tmssl.errors import TmsslError
from tmssl.text import safe

app = typer.Typer(
    name="tmssl",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode=None,  # plain help opens in a third of the time
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        from importlib.metadata import version

        say_data(f"tmssl {version('tmssl')}")
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
        say(f"tmssl: {error}")
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
        say(f"tmssl: {error.strerror}{where}; free disk space and try again")
        raise SystemExit(1) from None
