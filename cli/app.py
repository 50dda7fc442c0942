"""The `tmssl` command: one typer app, and the place where an error becomes an exit code."""

import os
import sys

import typer

from cli.demo import demo
from cli.eval import evaluate
from cli.greedy import GreedyCommand
from cli.pack import pack
from cli.runs import runs
from cli.stop import stop
from cli.train import train
from cli.watch import watch
from tmssl.errors import TmsslError

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
app.command("runs")(runs)
app.command("stop")(stop)
app.command("pack")(pack)


def main() -> None:
    """Run the command line; a named error is one line on stderr and its exit code."""
    try:
        app()
    except TmsslError as error:
        print(f"tmssl: {error}", file=sys.stderr)  # noqa: T201 - words go to stderr
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        # The reader of our stdout went away, as `| head` does; that is no failure.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
