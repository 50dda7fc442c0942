"""The terminal as the monitor uses it: never asked anything, and left as soon as it hangs up."""

import os
import re
import select
import signal
import threading
import time
from typing import Any

from textual import messages
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Size

from tui.terminal.cell_diff import CellDiff

_LOOK_S = 0.5
_PATIENCE_S = 2.0  # for an orderly end after a hang-up
_HUNG_UP = 128 + signal.SIGHUP

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # of a frame that is shown at once
_SET = re.compile(
    r"\x1b\[\?\d+[hl]"  # modes: alternate screen, mouse, cursor, paste, focus, wrap, synchronised
    r"|\x07"  # the bell
    r"|\x1b\]9;[^\x00-\x1f\x7f-\x9f]*\x07"  # a note
    r"|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"  # what a person copied
)
"""Controls that may make up a whole write."""
_ONE = re.compile(r"\x1b(?:\[[ -?]*[@-~]|[\]P_][^\x1b\x07]*(?:\x07|\x1b\\))")
"""A single control of any kind."""
_UNFIT = re.compile(
    r"\x1b(?!\[[0-9;]*[mH]|\[\?2026[hl])"
    r"|[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)
"""What has no place in a picture, which is made of text, colours, places and ends of lines."""


def allowed(data: str) -> str:
    """What of a write may reach the terminal: settings and pictures, never a question.

    A terminal answers a question by typing; over a slow link its answer arrives as keys. Reports of
    modes, colours, cursor and version are left out, and so is the keyboard protocol of kitty, which
    outlives a monitor that was killed. Text is made safe where it enters; this is the second wall.
    """
    if _SET.fullmatch(data):
        return data
    if _UNFIT.search(data) is None:
        return data
    return "" if _ONE.fullmatch(data) else _UNFIT.sub("\ufffd", data)


class QuietDriver(LinuxDriver):
    """Textual's driver without its questions; a hang-up ends it even where SIGHUP is ignored."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        self._thrift = CellDiff()
        self._opens = False
        """whether a frame has begun of which nothing was sent yet"""
        super().__init__(app, debug=debug, mouse=mouse, size=size)

    def start_application_mode(self) -> None:
        """Begin, and watch the line."""
        self._thrift.forget()  # another program may have written meanwhile
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual left it so
        if self.input_tty:
            if os.environ.get("TERM") not in ("linux", "dumb"):
                # Terminals that do not know the mode pass over it, so there is nothing to ask.
                self.send_message(messages.TerminalSupportsSynchronizedOutput())
            self._ended = threading.Event()
            threading.Thread(target=self._watch_line, name="line", daemon=True).start()

    def stop_application_mode(self) -> None:
        """End, or make room for what runs outside the app."""
        if self.input_tty:
            self._ended.set()
        super().stop_application_mode()

    def write(self, data: str) -> None:
        """Write what may reach the terminal."""
        kept = allowed(data)
        if kept in (_BEGIN, _END):
            # A frame in which nothing is sent needs no bracket.
            self._opens, opened = kept == _BEGIN, not self._opens
            if kept == _END and opened:
                super().write(kept)
            return
        if kept and not _SET.fullmatch(kept):
            kept = self._thrift.kept(kept)
        if kept:
            super().write((_BEGIN if self._opens else "") + kept)
            self._opens = False

    def _get_terminal_size(self) -> tuple[int, int]:
        """Asked at the start and at every change of size: a terminal may lose cells by it."""
        self._thrift.forget()
        return self._size_now()

    def _size_now(self) -> tuple[int, int]:
        """Columns and rows as the terminal says; COLUMNS and LINES would hide every later change."""
        try:
            columns, rows = os.get_terminal_size(self.fileno)
            return columns, rows
        except OSError:
            return super()._get_terminal_size()

    def _watch_line(self) -> None:
        """Leave when the line is dead; tell a change of size whose signal was lost."""
        line, ended = select.poll(), self._ended
        line.register(self.fileno, 0)  # hang-ups and errors are reported unasked
        shown = self._size_now()
        while not ended.wait(_LOOK_S):
            if line.poll(0):
                self._leave()
            size = self._size_now()
            if size != shown:
                shown = size
                if size != tuple(self._app.size):
                    self._thrift.forget()
                    self.send_message(Resize(Size(*size), Size(*size)))

    def _leave(self) -> None:
        """End the app; the process as well when it cannot, since writing to a dead line blocks."""
        self._loop.call_soon_threadsafe(self._app.exit)
        time.sleep(_PATIENCE_S)
        os._exit(_HUNG_UP)
