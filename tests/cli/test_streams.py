"""Standard streams that are closed or are not UTF-8, and a current folder that is gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.command import COMMAND, environment, run_checked
from tests.helpers.histories import step
from tests.helpers.terminal import Terminal, watch
from tmssl.config import Config, write_config
from tmssl.files import unicode_path
from tmssl.runs.folder import create_run
from tmssl.runs.journal import JournalWriter

SAY = (
    "from cli.streams import prepare_streams; prepare_streams(); from cli.output.console import *; "
)
TEXT = "Bücher \u2026 \u2192 \u4e2d \U0001f600"
_UMLAUT = {"latin-1": "ü", "cp1252": "ü", "koi8-r": "\\xfc", "ascii": "\\xfc"}


def printed(code: str, encoding: str) -> bytes:
    """What a child with our streams prints under an encoding."""
    done = subprocess.run(
        [sys.executable, "-c", SAY + code],
        capture_output=True,
        check=True,
        env=environment(PYTHONIOENCODING=encoding),
    )
    return done.stdout


@pytest.mark.parametrize(
    "encoding", ["ascii", "latin-1", "latin-1:strict", "ascii:ignore", "koi8-r", "cp1252"]
)
def test_signs_that_an_encoding_lacks_are_written_alike(encoding: str) -> None:
    name = encoding.partition(":")[0]
    dots = "\u2026" if name == "cp1252" else "..."
    expected = f"B{_UMLAUT[name]}cher {dots} -> \\u4e2d \\U0001f600\n"
    assert printed(f"say_data({TEXT!a})", encoding).decode(name) == expected


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32", "utf-8:strict"])
def test_encodings_that_have_every_sign_get_them(encoding: str) -> None:
    name = encoding.partition(":")[0]
    assert printed(f"say_data({TEXT!a})", encoding).decode(name) == f"{TEXT}\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "koi8-r", "utf-8", "utf-16"])
def test_json_is_json_in_every_encoding(encoding: str) -> None:
    value = f"{{'name': {TEXT!a}, 'broken': 'B\\udcfccher', 'figure': float('nan')}}"
    told = json.loads(printed(f"say_json({value})", encoding).decode(encoding))
    assert told == {"name": TEXT, "broken": "B\ufffdcher", "figure": None}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16"])
def test_json_holds_no_control_that_a_terminal_obeys(encoding: str) -> None:
    hostile = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x61C, 0xFEFF]))
    hostile += "\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\\u009b"
    code = f"say_json({{{hostile!a}: [{hostile!a}]}})"
    text = printed(code, encoding).decode(encoding)
    assert not set(text[:-1]) & set(hostile.replace("\\u009b", ""))
    assert json.loads(text) == {hostile: [hostile]}


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_file_name_of_other_bytes_is_printed_as_it_is(encoding: str) -> None:
    assert printed("say_data('B\\udcfccher')", encoding) == b"B\xfccher\n"
    assert printed("say_data('B\\udcfccher')", "utf-16").decode("utf-16") == "B?cher\n"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_go_nowhere(tmp_path: Path, closed: str) -> None:
    opened = "import os; open('kept', 'w').write('own'); say('words'); say_data('data')"
    script = f'exec "$0" -c "$1" {closed}'
    command = ["sh", "-c", script, sys.executable, SAY + opened]
    run_checked(command, tmp_path)
    assert (tmp_path / "kept").read_text() == "own"


def test_a_current_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = 'rmdir "$0" && exec "$@"'
    done = run_checked(
        ["sh", "-c", script, str(gone), *COMMAND, "train", "--data", "m"], gone, code=2
    )
    assert "the current folder is gone" in done.stderr


def test_a_snapshot_is_ascii_where_the_stream_is(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    for number in range(1, 4):
        journal.write(step(number))
    journal.close()
    command = [*COMMAND, "watch", str(run.path), "--once"]
    done = subprocess.run(
        command, capture_output=True, check=True, env=environment(PYTHONIOENCODING="ascii")
    )
    assert b"\\u" not in done.stdout
    assert done.stdout.isascii()


def test_any_byte_may_be_typed_into_the_monitor(tmp_path: Path) -> None:
    run = create_run(tmp_path, "r")
    write_config(Config(), run.config)
    journal = JournalWriter(run.journal)
    journal.write(step(1))
    journal.close()
    terminal = Terminal(watch(run.path))
    try:
        terminal.shows("learning rate")
        for typed in (b"\x80", b"\xe9 ", b"\x1b[M \x85!", b"\xff" * 9, b"\xc3\x28", b"\xe2\x82"):
            terminal.type(typed)
        assert terminal.leave() == 0
    finally:
        terminal.close()


def test_a_folder_that_is_no_utf_8_is_reached_by_its_descriptor(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/B\xfccher"))
    folder.mkdir()
    for path in (folder / "f", tmp_path / "f"):
        with unicode_path(path) as name:
            assert name.encode("utf-8").isascii() or path.parent == tmp_path
            Path(name).write_bytes(b"here")
        assert path.read_bytes() == b"here"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"LANG": ""}, False),
        ({"LANG": "C"}, False),
        ({"LC_ALL": "POSIX"}, False),
        ({"LC_ALL": "C.UTF-8", "LC_CTYPE": "C"}, True),
        ({"LANG": "ja_JP.eucJP"}, False),
        ({"LANG": "en_US.ISO-8859-1"}, False),
        ({"LANG": "xx_XX.UTF-8"}, True),
        ({"LANG": "C", "PYTHONIOENCODING": "utf-8"}, True),
        ({"LANG": "C", "PYTHONIOENCODING": ":replace"}, False),
        ({"LANG": "C", "PYTHONUTF8": "1"}, True),
        ({"PYTHONIOENCODING": "ascii"}, False),
    ],
)
def test_a_terminal_gets_what_its_locale_has(told: dict[str, str], shown: bool) -> None:
    signs = "\u2501\u2578\u258e\u2588\u2591\u256d\u280b\u2026"
    terminal = Terminal(
        [sys.executable, "-c", SAY + f"say_data({signs!a}); say('end')"], environment=told
    )
    try:
        terminal.shows("end")
    finally:
        terminal.close()
    assert terminal.grid.line(1).strip() == (signs if shown else "==|#:+....")


def test_a_pipe_gets_every_character_whatever_the_locale() -> None:
    code = SAY + f"say_data({TEXT!a})"
    for locale in ("C", "POSIX", "", "en_US.ISO-8859-1"):
        told = environment(LC_ALL=locale, LC_CTYPE="", LANG="")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, env=told
        )
        assert done.stdout.decode() == f"{TEXT}\n"
