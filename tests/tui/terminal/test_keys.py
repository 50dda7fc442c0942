"""What a terminal sends, whole, cut, mixed and meaningless, is read without an error."""

import os
import random
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.events import Key, MouseDown, Paste

from tests.helpers.terminal import ROOT, Terminal, watch
from tui.terminal.keys import KeyParser

RUN = ROOT / "runs" / "training-log"
PIECES = [
    b"\x1b[",
    b"\x1b[<0;",
    b"\x1b[<0;999999999999;5M",
    b"\x1b[<;;M",
    b"\x1b[<35;-1;-1M",
    b"\x1b[<99999;1;1M",
    b"\x1bO",
    b"\x1b[200~",
    b"\x1b[201~",
    b"\x1b[M",
    b"\x1b[M \x85!",
    b"\x1b]52;c;",
    b"\x1bP",
    b"\x1b_G",
    b"\x1b[1;5",
    b"\x1b[57441;1:3u",
    b"\x1b[9999999u",
    b"\x1b[99999999999999999999u",
    b"\x1b[1114112u",
    b"\x1b[55296u",
    b"\x1b[97;;55296u",
    b"\x1b[97;;1114112:98u",
    b"\x1b[97;999999999999999999999999u",
    b"\x1b[u",
    b"\x1b[-5~",
    b"\x1b[;u",
    b"\x1b[?2026;2$y",
    b"\x1b[48;0;0;0;0t",
    b"\x1b[48;-1;x;1;1t",
    b"\x1b[48;0;0;0;0t\x1b[<0;5;6M",
    b"\x1b[12;40R",
    b"\x1b\x1b\x1b",
    b"\xff\xfe",
    b"\xf0\x9f",
    b"\xed\xa0\x80",
    b"\xc0\x80",
]
"""beginnings, ends and forms of sequences that a terminal sends or that look so"""


@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)), max_size=12))
def test_nothing_that_is_sent_is_an_error(sent: list[bytes]) -> None:
    parser = KeyParser()
    for piece in sent:
        for event in parser.feed(piece):
            assert not isinstance(event, Key) or (event.character or "").encode() is not None
        list(parser.tick())


def test_a_key_after_what_means_nothing_is_read() -> None:
    for piece in (b"\x1b[9999999u", b"\x1b[99999999999999999999u", b"\x1b[97;;1114112u"):
        parser = KeyParser()
        list(parser.feed(piece))
        assert [event.key for event in parser.feed(b"q") if isinstance(event, Key)] == ["q"]


def test_what_means_something_is_as_it_was_sent() -> None:
    parser = KeyParser()
    keys = [
        event.key for event in parser.feed("aé\x1b[A\x1b[1;2C\r".encode()) if isinstance(event, Key)
    ]
    assert keys == ["a", "é", "up", "shift+right", "enter"]
    (paste,) = parser.feed(b"\x1b[200~caf\xe9\x1b[201~")
    assert isinstance(paste, Paste)
    assert paste.text == "caf\ufffd"
    assert any(isinstance(event, MouseDown) for event in parser.feed(b"\x1b[<0;5;6M"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [(100, 30), (1, 1), (10, 3)])
def test_the_monitor_outlives_every_byte_and_broken_sequence(
    opened: list[Terminal], tmp_path: Path, size: tuple[int, int]
) -> None:
    left_out = b"sqeWwn\x03\x11\x1a\x1c\r\n\x10"  # what ends, stops, starts or writes something
    dice = random.Random(0)
    terminal = Terminal(watch(RUN), size=size, environment={"XDG_STATE_HOME": os.fspath(tmp_path)})
    opened.append(terminal)
    terminal.wait_for(b"\x1b[?1049h")
    time.sleep(3)
    for number in range(256):
        terminal.type(bytes([number]) if number not in left_out else b"")
    for _ in range(300):
        noise = dice.randbytes(dice.randrange(12)).translate(None, left_out)
        keys = dice.choice([b"\x1b[A", b"\t", b"m", b"o", b"\x1b", b"f", b"?", b"a", b"/", b"P"])
        terminal.type(dice.choice([dice.choice(PIECES) + noise, noise, keys]))
        time.sleep(0.02)
    assert terminal.process.poll() is None
    terminal.type(b"\x1b[201~")
    deadline = time.monotonic() + 40
    while terminal.process.poll() is None and time.monotonic() < deadline:
        terminal.type(b"\x11")
        time.sleep(0.5)
    assert terminal.process.returncode == 0
    assert b"Traceback" not in terminal.bytes
