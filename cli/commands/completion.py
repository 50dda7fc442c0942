"""`tmssl completion`: the script that lets a shell complete commands and options."""

from typing import Annotated, Literal

import typer

VARIABLE = "_TMSSL_COMPLETE"  # a shell sets it to ask for completions


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="The shell.")],
) -> None:
    """Print a completion script, for `source <(tmssl completion bash)`."""
    from typer.completion import (  # type: ignore[attr-defined]  # re-exported without saying so
        get_completion_script,
    )

    print(get_completion_script(prog_name="tmssl", complete_var=VARIABLE, shell=shell))  # noqa: T201 - stdout is data
