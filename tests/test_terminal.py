"""What reaches the terminal, byte by byte, and what happens when it is gone."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pty_harness import ROOT, Terminal, watch
from tui.terminal import allowed

RUN = ROOT / "runs" / "training-log"


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    """Terminals that a test opens, closed after it."""
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def test_the_terminal_notices_what_it_is_asked(opened: list[Terminal]) -> None:
    program = (
        "import sys, time; sys.stdout.write('\\x1b[?2026$p\\x1b[6n\\x1b[c\\x1b[?u\\x1b]11;?\\x07'); "
        "sys.stdout.flush(); time.sleep(0.5)"
    )
    opened.append(Terminal([sys.executable, "-c", program], answers_after_s=0.0))
    opened[0].process.wait(20)
    assert opened[0].asked == ["cursor position", "device attributes", "mode", "kitty keyboard", "colour"]  # fmt: skip
    assert b"\x1b[?2026;2$y" in opened[0].left_to_read()


@pytest.mark.parametrize(
    "answers_after_s",
    [None, 0.0, 0.3, pytest.param(2.0, marks=pytest.mark.slow)],
)
def test_nothing_is_asked_and_no_byte_is_left_behind(
    opened: list[Terminal], answers_after_s: float | None
) -> None:
    terminal = Terminal(watch(RUN), answers_after_s=answers_after_s)
    opened.append(terminal)
    terminal.wait_for(b"learning rate")
    if answers_after_s:
        with pytest.raises(subprocess.TimeoutExpired):
            terminal.process.wait(answers_after_s + 0.2)
    assert terminal.leave() == 0
    assert terminal.asked == []
    assert terminal.left_to_read() == b""
    assert b"\x1b[>" not in terminal.bytes  # the keyboard protocol stays as the shell left it
    assert terminal.bytes.count(b"\x1b[?1049h") == terminal.bytes.count(b"\x1b[?1049l") == 1


@pytest.mark.parametrize("ignore_hangup", [False, True])
def test_a_hang_up_ends_it_even_where_the_signal_is_ignored(
    opened: list[Terminal], ignore_hangup: bool
) -> None:
    terminal = Terminal(watch(RUN), ignore_hangup=ignore_hangup)
    opened.append(terminal)
    terminal.wait_for(b"learning rate")
    terminal.hang_up()
    code = terminal.process.wait(5)
    assert code in ((0, 128 + signal.SIGHUP) if ignore_hangup else (-signal.SIGHUP,))


def test_columns_of_the_environment_do_not_hide_a_change_of_size(opened: list[Terminal]) -> None:
    terminal = Terminal(watch(RUN), environment={"COLUMNS": "80", "LINES": "24"})
    opened.append(terminal)
    terminal.wait_for(b"learning rate")
    before = len(terminal.bytes)
    terminal.resize(40, 8)
    terminal.wait_for(b"too small", since=before)
    before = len(terminal.bytes)
    terminal.resize(132, 50)
    terminal.wait_for(b"\x1b[50;", since=before)


@pytest.mark.parametrize("set_to", ["\x1b[?1049h", "\x1b[?25l", "\x07", "\x1b[?1006h", "\x1b]9;run ended\x07"])  # fmt: skip
def test_settings_pass(set_to: str) -> None:
    assert allowed(set_to) == set_to


@pytest.mark.parametrize("question", ["\x1b[6n", "\x1b[?2026$p", "\x1b[?2048$p", "\x1b[c", "\x1b[>25u", "\x1b[<u", "\x1b[?u", "\x1b]11;?\x07", "\x1bP+q544e\x1b\\", "\x1b_Gi=1,a=q\x1b\\", "\x1b[14t", "\x1b[>0q"])  # fmt: skip
def test_questions_and_the_keyboard_protocol_do_not(question: str) -> None:
    assert allowed(question) == ""
    assert "\x1b" not in allowed(f"name {question} name").replace("\x1b[0m", "")


def test_a_picture_passes_as_it_is() -> None:
    picture = "\x1b[3;1H\x1b[38;2;1;2;3;48;5;1mloss ⣿\x1b[0m\n\x1b[?2026h\x1b[?2026l"
    assert allowed(picture) == picture


@given(st.text(st.sampled_from("\x1b\x9b\x07[]2J;?cn$pa\u202e\x00\x7f")))
def test_no_text_smuggles_a_control(text: str) -> None:
    left = re.sub(r"\x1b\[[0-9;]*[mH]|\x1b\[\?\d+[hl]", "", allowed("x" + text))
    assert not set(left) & set("\x1b\x9b\x07\u202e\x00\x7f")


def test_the_monitor_is_started_with_this_driver() -> None:
    source = (Path(ROOT) / "tui" / "app.py").read_text("utf-8")
    assert "driver_class=QuietDriver" in source
