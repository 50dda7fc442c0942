"""`tmssl completion`: the script that lets a shell complete commands and options."""

from typing import Annotated, Literal

import typer

from cli.output.console import say_data

VARIABLE = "_TMSSL_COMPLETE"  # a shell sets it to ask for completions


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="bash|zsh|fish", help="The shell.")
    ],
) -> None:
    """Print the completion script of a shell, for `source <(tmssl completion bash)`."""
    from typer.completion import (  # type: ignore[attr-defined]  # re-exported without saying so
        get_completion_script,
    )

    say_data(get_completion_script(prog_name="tmssl", complete_var=VARIABLE, shell=shell))
