"""What reaches the terminal, byte by byte, and what happens when it is gone."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.helpers.terminal import ROOT, Grid, Terminal, watch
from tui.terminal.cell_diff import CellDiff
from tui.terminal.driver import sanitize

RUN = ROOT / "runs" / "training-log"


def test_the_terminal_notices_what_it_is_asked(opened: list[Terminal]) -> None:
    program = (
        "import signal, sys; sys.stdout.write('\\x1b[?2026$p\\x1b[6n\\x1b[c\\x1b[?u\\x1b]11;?\\x07'); "
        "sys.stdout.flush(); signal.pause()"
    )
    terminal = Terminal([sys.executable, "-c", program], answers_after_s=0.0)
    opened.append(terminal)
    queries = ["cursor position", "device attributes", "mode", "kitty keyboard", "colour"]
    terminal.wait_until(lambda: terminal.asked == queries, "not all queries were noticed")
    answers = bytearray()

    def is_answered() -> bool:
        answers.extend(terminal.left_to_read())
        return b"\x1b[?2026;2$y" in answers

    terminal.wait_until(is_answered, "no answer has come")


@pytest.mark.parametrize(
    "answers_after_s",
    [None, 0.0, 0.3, pytest.param(2.0, marks=pytest.mark.slow)],
)
def test_nothing_is_asked_and_no_byte_is_left_behind(
    opened: list[Terminal], answers_after_s: float | None
) -> None:
    terminal = Terminal(watch(RUN), answers_after_s=answers_after_s)
    opened.append(terminal)
    terminal.shows("learning rate")
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
    terminal.shows("learning rate")
    terminal.hang_up()
    code = terminal.process.wait(45)
    assert code in ((0, 128 + signal.SIGHUP) if ignore_hangup else (-signal.SIGHUP,))


def test_ctrl_z_goes_to_the_shell_and_fg_goes_back(opened: list[Terminal]) -> None:
    terminal = Terminal(["bash", "--norc", "-i"], environment={"PS1": "shell> "})
    opened.append(terminal)
    terminal.wait_for(b"shell>")
    terminal.type(" ".join(watch(RUN)).encode() + b"\r")
    for _ in range(2):
        terminal.shows("learning rate")
        written = len(terminal.bytes)
        terminal.type(b"\x1a")
        terminal.wait_for(b"Stopped", since=written)
        told = bytes(terminal.bytes[written:])
        assert told.index(b"\x1b[?1049l") < told.index(b"\x1b[?25h") < told.index(b"Stopped")
        terminal.type(b"fg\r")
        terminal.wait_for(b"\x1b[?1049h", since=written)
    terminal.shows("learning rate")
    written = len(terminal.bytes)
    terminal.type(b"q")
    terminal.wait_for(b"shell>", since=written)
    terminal.type(b"exit $?\r")
    assert terminal.process.wait(50) == 0


def test_a_stop_by_another_hand_is_followed_by_one_redraw(opened: list[Terminal]) -> None:
    terminal = Terminal(watch(RUN))
    opened.append(terminal)
    terminal.shows("learning rate")
    terminal.process.send_signal(signal.SIGSTOP)
    terminal.grid.cells.clear()
    terminal.process.send_signal(signal.SIGCONT)
    terminal.shows("learning rate")
    for key, word in ((b"+", "smoothing 0.95"), (b"x", "axis: "), (b"+", "smoothing 0.9")):
        terminal.type(key)
        terminal.shows(word)
    assert terminal.leave() == 0
    assert terminal.bytes.count(b"\x1b[?1049h") == 1


def test_columns_of_the_environment_do_not_hide_a_change_of_size(opened: list[Terminal]) -> None:
    terminal = Terminal(watch(RUN), environment={"COLUMNS": "80", "LINES": "24"})
    opened.append(terminal)
    terminal.shows("learning rate")
    terminal.resize(40, 8)
    terminal.shows("too small")
    before = len(terminal.bytes)
    terminal.resize(132, 50)
    terminal.wait_for(b"\x1b[50;", since=before)
    terminal.shows("gradient norm")


def test_a_burst_of_sizes_ends_in_the_layout_of_the_last(opened: list[Terminal]) -> None:
    terminal = Terminal(watch(RUN))
    opened.append(terminal)
    terminal.shows("learning rate")
    for size, told in (
        ((45, 12), "too small"),
        ((80, 24), "learning rate"),
        ((45, 12), "too small"),
    ):
        for between in ((120, 40), (45, 12), (200, 60)):
            terminal.resize(*between)
            time.sleep(0.03)  # the pace at which a person drags, no wait
        terminal.grid.cells = {}  # before the last size, after which all is sent anew, once
        terminal.resize(*size)
        terminal.shows(told)


@pytest.mark.parametrize(
    "set_to", ["\x1b[?1049h", "\x1b[?25l", "\x07", "\x1b[?1006h", "\x1b]9;run ended\x07"]
)
def test_settings_pass(set_to: str) -> None:
    assert sanitize(set_to) == set_to


@pytest.mark.parametrize(
    "question",
    [
        "\x1b[6n",
        "\x1b[?2026$p",
        "\x1b[?2048$p",
        "\x1b[c",
        "\x1b[>25u",
        "\x1b[<u",
        "\x1b[?u",
        "\x1b]11;?\x07",
        "\x1bP+q544e\x1b\\",
        "\x1b_Gi=1,a=q\x1b\\",
        "\x1b_Gq=2,a=T,U=1,f=100,t=d,i=16777232,c=2,r=1,m=0;iVBO\x1b\\",
        "\x1b_Gq=2,a=d,d=I,i=16777232\x1b\\",
        "\x1b[14t",
        "\x1b[>0q",
    ],
)
def test_questions_and_the_keyboard_protocol_do_not(question: str) -> None:
    assert sanitize(question) == ""
    assert "\x1b" not in sanitize(f"name {question} name").replace("\x1b[0m", "")


def test_a_placeholder_of_another_hand_does_not_pass() -> None:
    assert sanitize("\x1b[1;1Hx\U0010eeee\u0305\u0305x") == "\x1b[1;1Hx\ufffd\u0305\u0305x"


def test_a_frame_passes_as_it_is() -> None:
    picture = "\x1b[3;1H\x1b[38;2;1;2;3;48;5;1mloss ⣿\x1b[0m\n\x1b[?2026h\x1b[?2026l"
    assert sanitize(picture) == picture


@given(st.text(st.sampled_from("\x1b\x9b\x07[]2J;?cn$pa\u202e\x00\x7f")))
def test_no_text_smuggles_a_control(text: str) -> None:
    left = re.sub(r"\x1b\[[0-9;]*[mH]|\x1b\[\?\d+[hl]", "", sanitize("x" + text))
    assert not set(left) & set("\x1b\x9b\x07\u202e\x00\x7f")


pens = st.lists(
    st.sampled_from(["1", "3", "4", "7", "31", "38;2;1;2;3", "38;5;9", "48;2;9;9;9", "42", "91"]),
    max_size=3,
    unique_by=lambda one: one[0] if len(one) > 1 else one,
)
pieces = st.lists(
    st.tuples(pens, st.text("ab  x⣿wide漢é", min_size=1, max_size=6)), min_size=1, max_size=4
)


@given(
    st.lists(
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12), pieces), max_size=4), max_size=8
    ),
    st.integers(0, 9),
)
def test_what_is_left_out_is_on_the_screen_already(
    frames: list[list[tuple[int, int, list[tuple[list[str], str]]]]], forget_at: int
) -> None:
    cell_diff, lean, full = CellDiff(), Grid(), Grid()
    for number, frame in enumerate(frames):
        if number == forget_at:
            cell_diff.forget()
        picture = ""
        for row, column, told in frame:
            picture += f"\x1b[{row};{column}H"
            picture += "".join(
                f"\x1b[{';'.join(pen)}m{text}\x1b[0m" if pen else text for pen, text in told
            )
        sent = cell_diff.diff(picture)
        full.feed(picture.encode())
        lean.feed(sent.encode())
        assert {place: seen(cell) for place, cell in lean.cells.items() if covers(lean, place)} == {
            place: seen(cell) for place, cell in full.cells.items() if covers(full, place)
        }


def seen(cell: tuple[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """A cell as it looks: the colour of a space does not show, unless it is underlined or reversed."""
    sign, pen = cell
    if sign != " " or {"4", "7"} & set(pen):
        return cell
    return sign, tuple(one for one in pen if one.startswith("4") and len(one) > 1)


def covers(grid: Grid, place: tuple[int, int]) -> bool:
    """Whether a cell is not the second half of a wide sign, or cut by one."""
    row, column = place
    before = grid.cells.get((row, column - 1), (" ", ()))[0]
    after = grid.cells.get((row, column + 1))
    return cell_len(before) == 1 and (cell_len(grid.cells[place][0]) == 1 or after is None)


def test_a_line_in_which_one_figure_changes_costs_a_few_bytes() -> None:
    cell_diff = CellDiff()
    line = "\x1b[3;1H\x1b[1;38;2;9;9;9;48;2;1;1;1mloss \x1b[0m\x1b[38;2;200;200;200;48;2;1;1;1m{} at step\x1b[0m"
    cell_diff.diff(line.format("4.21"))
    assert cell_diff.diff(line.format("4.21")) == ""
    assert cell_diff.diff(line.format("4.25")) == "\x1b[3;9H5"
    cell_diff.forget()
    assert len(cell_diff.diff(line.format("4.25"))) > 50


def test_a_resize_amid_a_frame_counts_for_the_next() -> None:
    """A signal, or the thread that watches the terminal, comes between any two steps of a comparison."""
    cell_diff = CellDiff()

    class Interrupted(dict[int, list[str]]):
        def setdefault(self, row: int, cells: list[str]) -> list[str]:
            cell_diff.forget()
            return super().setdefault(row, cells)

    line = "\x1b[3;1Hloss 4.21"
    assert "loss 4.21" in cell_diff.diff(line)
    cell_diff._characters = Interrupted(cell_diff._characters)
    assert cell_diff.diff(line) == ""
    assert "loss 4.21" in cell_diff.diff(line)


def test_the_monitor_is_started_with_this_driver() -> None:
    source = (Path(ROOT) / "tui" / "app.py").read_text("utf-8")
    assert "driver_class=QuietDriver" in source
