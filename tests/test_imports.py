import subprocess
import sys

import pytest

from cli.lazy import COMMANDS, LazyCommands, module_of

HEAVY = ("torch", "torchvision", "timm", "faiss", "numpy", "PIL", "term_image")

# What the monitor imports when it is asked for: its curves appear the sooner.
ASKED_FOR = (
    "tui.run_actions",
    "tui.subprocesses",
    "tui.live.findings",
    "tui.live.overlay",
    "tui.runs.screen",
    "tui.matches.screen",
    "tui.search.screen",
    "tmssl.runs.notices",
)
LOADED = "import sys; {0}; print(*[m for m in {1!r} if m in sys.modules])"
HELP = (
    "import sys; sys.argv = {0!r}\ntry:\n    from cli.app import main; main()\n"
    "except SystemExit: pass\nprint('LOADED', *[m for m in {1!r} if m in sys.modules])"
)


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import cli.app", (*HEAVY, "textual")),
        ("import tui.app", (*HEAVY, *ASKED_FOR)),
        (
            "import tmssl.runs.journal, tmssl.runs.findings.diagnose, tmssl.runs.launch, tmssl.config",
            (*HEAVY, "textual", "rich", "typer"),
        ),
        ("import tmssl.runs.resume_plan, tmssl.runs.schedule, tmssl.runs.checkpoints", HEAVY),
        ("import tmssl.training.loop", ("textual", "typer", "faiss", "term_image")),
    ],
)
def test_importing_is_light(statement: str, banned: tuple[str, ...]) -> None:
    assert printed(LOADED.format(statement, banned)).split() == []


@pytest.mark.parametrize(
    "words",
    [
        ["tmssl", "--help"],
        ["tmssl", "train", "--help"],
        ["tmssl", "eval", "--help"],
        ["tmssl", "watch", "--help"],
    ],
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    told = printed(HELP.format(words, (*HEAVY, "textual", "pydantic")))
    assert told.strip().splitlines()[-1] == "LOADED"
    assert "Usage" in told


@pytest.mark.parametrize("words", [["tmssl", "--help"], ["tmssl", "--version"], ["tmssl", "trian"]])
def test_the_command_itself_imports_none_of_its_commands(words: list[str]) -> None:
    commands = sorted(set(map(module_of, COMMANDS)) - {"cli.commands.completion"})
    told = printed(HELP.format(words, (*commands, "tmssl.runs", "msgspec", "importlib.metadata")))
    assert told.strip().splitlines()[-1] == "LOADED"


def test_every_command_of_the_table_is_there_and_has_a_line_of_help() -> None:
    for name, command in LazyCommands().items():
        assert command.name == name
        assert COMMANDS[name].line.endswith(".")
        assert len(COMMANDS[name].line) <= 80 - len("  completion  ")
        assert command.help
