"""The `tmssl` command: the typer app, and the place where an error becomes an exit code."""

import errno
import os
import sys
from typing import Annotated

import typer

from cli.commands.completion import VARIABLE
from cli.lazy import LazyGroup
from cli.output.console import say, say_data
from cli.streams import prepare_streams
from tmssl.doctor.threads import share_cores
from tmssl.errors import TmsslError
from tmssl.text import safe
from tmssl.version import __version__

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
        say_data(f"tmssl {__version__}")
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
    share_cores()
    prepare_streams()
    if VARIABLE in os.environ:
        from typer.completion import (  # type: ignore[attr-defined]  # re-exported without saying so
            completion_init,
        )

        completion_init()
    try:
        try:
            app(prog_name="tmssl")
        finally:
            sys.stdout.flush()
    except TmsslError as error:
        say(f"tmssl: {error}")
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except MemoryError:
        say("tmssl: not enough memory; free some, or give a smaller part of the data")
        raise SystemExit(1) from None
    except OSError as error:
        if not _has_folder():
            say("tmssl: the current folder is gone; change to one that exists")
            raise SystemExit(2) from None
        if error.errno == errno.ENAMETOOLONG:
            say(
                f"tmssl: a name that is too long for a file: {safe(error.filename, 100)}; shorten it"
            )
            raise SystemExit(2) from None
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f": {safe(error.filename)}" if error.filename else ""
        say(f"tmssl: {error.strerror}{where}; free disk space and try again")
        raise SystemExit(1) from None


def _has_folder() -> bool:
    """Whether the current folder still exists."""
    try:
        os.getcwd()  # noqa: PTH109 - the question is whether it works
    except OSError:
        return False
    return True
