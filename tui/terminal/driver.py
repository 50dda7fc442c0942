"""The terminal driver: it sends no query, shows pictures in pixels, and ends the app when the terminal hangs up."""

import os
import random
import re
import select
import selectors
import signal
import threading
import time
from typing import Any

from textual import messages
from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Size

from tui.pictures import placeholders
from tui.pictures.pixels import PixelPictures
from tui.pictures.ways import terminal_kind
from tui.terminal.cell_diff import CellDiff
from tui.terminal.graphics import GRAPHICS, Graphics, through_tmux
from tui.terminal.keys import KeyParser

_POLL_S = 0.5
_INPUT_POLL_S, _INPUT_BYTES = 0.1, 4096
_EXIT_GRACE_S = 2.0  # for the app to exit after a hang-up
_HANG_UP_CODE = 128 + signal.SIGHUP

_BEGIN, _END = "\x1b[?2026h", "\x1b[?2026l"  # of a synchronized update
_SETTINGS = re.compile(
    r"\x1b\[\?\d+[hl]"  # modes: alternate screen, mouse, cursor, paste, focus, wrap, synchronised
    r"|\x07"  # the bell
    r"|\x1b\]9;[^\x00-\x1f\x7f-\x9f]*\x07"  # a notification
    r"|\x1b\]52;c;[A-Za-z0-9+/=]*\x07"  # text copied to the clipboard
)
"""A write that consists of one setting."""
_CONTROL = re.compile(r"\x1b(?:\[[ -?]*[@-~]|[\]P_][^\x1b\x07]*(?:\x07|\x1b\\))")
"""A write that consists of one control sequence of any kind."""
_FORBIDDEN = re.compile(
    r"\x1b(?!\[[0-9;]*[mH]|\[\?2026[hl])"
    r"|[\x00-\x09\x0b-\x1a\x1c-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\U0010eeee]"
)
"""What a frame may not hold; it consists of text, colours, cursor positions and line ends."""


def sanitize(data: str) -> str:
    """A write without what may not reach the terminal: settings and frames pass, queries do not.

    A terminal answers a query as if a person typed; over a slow link the answer arrives as keys. Queries of
    modes, colours, cursor and version are removed, and so is kitty's keyboard protocol, which outlives a
    killed monitor. Text is made safe where it enters the program; this is the second check.
    """
    if _SETTINGS.fullmatch(data):
        return data
    if _FORBIDDEN.search(data) is None:
        return data
    return "" if _CONTROL.fullmatch(data) else _FORBIDDEN.sub("\ufffd", data)


class QuietDriver(LinuxDriver):
    """Textual's driver without queries; a hang-up ends the app even where SIGHUP is ignored."""

    def __init__(
        self,
        app: App[Any],
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        namespace = random.randrange(1, placeholders.NAMESPACES)
        self._cell_diff = CellDiff(namespace)
        self._graphics = Graphics(getattr(app, "pixels", PixelPictures()), namespace)
        self._frame_pending = False
        """whether a synchronized update has begun and nothing of it was sent yet"""
        super().__init__(app, debug=debug, mouse=mouse, size=size)

    def start_application_mode(self) -> None:
        """Start, and watch the terminal for a hang-up."""
        self._cell_diff.forget()  # another program may have written to the terminal
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual left it so
        if self.input_tty:
            if os.environ.get("TERM") not in ("linux", "dumb"):
                # Terminals without the mode ignore it, so no query is needed.
                self.send_message(messages.TerminalSupportsSynchronizedOutput())
            self._ended = threading.Event()
            threading.Thread(
                target=self._watch_terminal, name="terminal-watch", daemon=True
            ).start()

    def stop_application_mode(self) -> None:
        """Stop, at the end or while another program uses the terminal."""
        if self.input_tty:
            self._ended.set()
        self._send_graphics(self._graphics.clear())
        super().stop_application_mode()

    def _sigcont_application(self, *_: object) -> None:
        """Start anew after ctrl+z; after a stop by another hand, in which nothing was ended, draw anew.

        Textual would start a second time, and each key would be read by one of two threads.
        """
        if self._must_signal_resume:
            super()._sigcont_application()
        elif self._auto_restart:
            self._cell_diff.forget()
            self._loop.call_soon_threadsafe(self._app.refresh)

    def write(self, data: str) -> None:
        """Write what is allowed and not on the screen already."""
        output = sanitize(data)
        if output in (_BEGIN, _END):
            # An update that sends nothing needs no begin and end.
            self._frame_pending, opened = output == _BEGIN, not self._frame_pending
            if output == _END and opened:
                super().write(output)
            return
        frame = "" if _SETTINGS.fullmatch(output) else output
        if frame:
            self._send_graphics(self._graphics.before(frame))
            output = self._cell_diff.diff(frame)
        if output:
            super().write((_BEGIN if self._frame_pending else "") + output)
            self._frame_pending = False
        if frame and not self._graphics.empty:
            self._send_graphics(self._graphics.after(self._cell_diff.slots(*self._size_now())))

    def _send_graphics(self, sequences: list[str]) -> None:
        """The one door for the graphics protocol: what it lets through comes from no text, and asks nothing.

        Raises:
            ValueError: a sequence is none of those that this program makes.
        """
        for sequence in sequences:
            if GRAPHICS.fullmatch(sequence) is None:
                raise ValueError(f"no picture is sent by {sequence[:40]!r}")
            in_tmux = terminal_kind() == "tmux"
            super().write(through_tmux(sequence) if in_tmux else sequence)

    def run_input_thread(self) -> None:
        """Turn what the terminal sends into keys; Textual's own ends the app at bytes that it cannot read."""
        parser = KeyParser(self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                sent = selector.select(_INPUT_POLL_S) and os.read(self.fileno, _INPUT_BYTES)
                for event in parser.feed(sent or b""):
                    self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _get_terminal_size(self) -> tuple[int, int]:
        """The size at the start and after each resize, which may change cells on the terminal."""
        self._cell_diff.forget()
        self._graphics.forget()
        return self._size_now()

    def _size_now(self) -> tuple[int, int]:
        """Columns and rows of the terminal; COLUMNS and LINES would hide every later change."""
        try:
            columns, rows = os.get_terminal_size(self.fileno)
            return columns, rows
        except OSError:
            return super()._get_terminal_size()

    def _watch_terminal(self) -> None:
        """Exit when the terminal has hung up; report a resize whose signal was lost."""
        poll, ended = select.poll(), self._ended
        poll.register(self.fileno, 0)  # poll always reports hang-ups and errors
        shown = self._size_now()
        while not ended.wait(_POLL_S):
            # macOS reports /dev/tty as a file that it cannot poll.
            if any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0)):
                self._exit()
            size = self._size_now()
            if size != shown:
                shown = size
                if size != tuple(self._app.size):
                    self._cell_diff.forget()
                    self.send_message(Resize(Size(*size), Size(*size)))

    def _exit(self) -> None:
        """Exit the app; if it hangs, the process, since a write to a closed terminal may block."""
        self._loop.call_soon_threadsafe(self._app.exit)
        time.sleep(_EXIT_GRACE_S)
        os._exit(_HANG_UP_CODE)
