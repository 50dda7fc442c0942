"""A terminal for tests: it notes every byte, answers what it is asked after a while, and hangs up."""

import codecs
import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.cells import cell_len

ROOT = Path(__file__).parents[2]
_SEQUENCE = re.compile(
    r"\x1b\[\??(?P<numbers>[0-9;]*)(?P<final>[a-zA-Z])|\x1b\][^\x07]*\x07|\r|\n|\x07|(?P<sign>[^\x00-\x1f][\u0300-\u036f\ufe0f]*)"
)
_WIDEST = 240
_LOCALE = ("LC_ALL", "LC_CTYPE", "PYTHONIOENCODING", "PYTHONUTF8")
QUESTIONS = {
    "device status": (rb"\x1b\[5n", b"\x1b[0n"),
    "cursor position": (rb"\x1b\[\??6n", b"\x1b[12;40R"),
    "device attributes": (rb"\x1b\[[>=]?0?c", b"\x1b[?62;22c"),
    "mode": (rb"\x1b\[\?(?:\d+)\$p", b"\x1b[?2026;2$y"),
    "kitty keyboard": (rb"\x1b\[\?u", b"\x1b[?0u"),
    "capability": (rb"\x1bP\+q[0-9a-fA-F;]*\x1b\\", b"\x1bP0+r\x1b\\"),
    "setting": (rb"\x1bP\$q[^\x1b]*\x1b\\", b"\x1bP1$r0m\x1b\\"),
    "colour": (rb"\x1b\]1[0-9];\?(?:\x07|\x1b\\)", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
    "palette": (rb"\x1b\]4;\d+;\?(?:\x07|\x1b\\)", b"\x1b]4;1;rgb:0000/0000/0000\x1b\\"),
    "window": (rb"\x1b\[(?:1[1-9]|2[01])t", b"\x1b[6;20;10t"),
    "version": (rb"\x1b\[>0?q", b"\x1bP>|test 1\x1b\\"),
    "kitty graphics": (rb"\x1b_G(?![^;\x1b]*q=2)[^\x1b]*\x1b\\", b"\x1b_Gi=31;OK\x1b\\"),
}
"""What programs ask terminals, and what one would answer."""


class Grid:
    """What a terminal shows of the sequences that the monitor may send, cell by cell."""

    sequences = _SEQUENCE
    """what it understands"""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], tuple[str, tuple[str, ...]]] = {}
        """sign and pen by row and column, counted from 1"""
        self._place = (1, 1)
        self._pen: dict[str, str] = {}
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, block: bytes) -> None:
        """Take in what was written; what is not whole yet waits."""
        text = self._rest + self._decoder.decode(block)
        place = 0
        for found in self.sequences.finditer(text):
            if found.start() != place:
                break
            place = found.end()
            self.take(found)
        self._rest = text[place:]

    def take(self, found: "re.Match[str]") -> None:
        """Do what a sequence says."""
        row, column = self._place
        numbers = (found["numbers"] or "").split(";")
        if found["sign"]:
            width = cell_len(found["sign"])
            self.cells[self._place] = (found["sign"], tuple(sorted(self._pen.values())))
            self._place = (row, column + width)
        elif found["final"] == "H":
            self._place = (int(numbers[0] or 1), int((numbers[1:] or "1")[0]))
        elif found["final"] == "C":
            self._place = (row, column + int(numbers[0] or 1))
        elif found["final"] == "m":
            self._set_pen(iter(numbers))
        elif found[0] == "\n":
            self._place = (row + 1, 1)
        elif found[0] in ("\x1b[?1049h", "\x1b[2J"):
            self.cells = {}

    def _set_pen(self, numbers: "Iterator[str]") -> None:
        for one in numbers:
            if one in ("", "0"):
                self._pen = {}
            elif one in ("38", "48"):
                kind = next(numbers)
                rest = [next(numbers) for _ in range(3 if kind == "2" else 1)]
                self._pen[one[0]] = ";".join([one, kind, *rest])
            elif one in ("39", "49"):
                self._pen.pop(one[0], None)
            elif len(one) > 1 and one[0] in "349":
                self._pen[one[0].replace("9", "3")] = one  # 91 is a bright 31
            else:
                self._pen[f"attribute {one}"] = one

    @property
    def rest(self) -> str:
        """What was written and is not whole, or not understood."""
        return self._rest

    def line(self, row: int) -> str:
        """The signs of a row, counted from 1."""
        blank = (" ", ())
        return "".join(self.cells.get((row, column), blank)[0] for column in range(1, _WIDEST))

    def text(self) -> str:
        """The signs, line by line."""
        rows = max((row for row, _ in list(self.cells)), default=0)
        return "\n".join(self.line(row).rstrip() for row in range(1, rows + 1))


class Terminal:
    """A program on a pseudo-terminal of its own."""

    def __init__(
        self,
        words: list[str],
        *,
        size: tuple[int, int] = (80, 24),
        answers_after_s: float | None = None,
        ignore_hangup: bool = False,
        environment: dict[str, str] | None = None,
        folder: Path = ROOT,
        grid: Grid | None = None,
    ) -> None:
        """Start a command.

        Args:
            words: its command line.
            size: columns and rows.
            answers_after_s: seconds until a question is answered, None for a silent terminal.
            ignore_hangup: start it as `nohup` would.
            environment: variables to set beside those there are.
            folder: where it runs.
            grid: what shows its output, one of its own by default.
        """
        self.bytes = bytearray()
        self.asked: list[str] = []
        self.grid = Grid() if grid is None else grid
        self._answers_after_s = answers_after_s
        self._master, self.slave = os.openpty()
        self.resize(*size)

        def become_leader() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            # Whatever these tests run under, such as nohup.
            signal.signal(signal.SIGHUP, signal.SIG_IGN if ignore_hangup else signal.SIG_DFL)

        told = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for name in ("TMUX", "NO_COLOR", "COLUMNS", "LINES", *_LOCALE):
            told.pop(name, None)
        told |= {"LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)} | (environment or {})
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            words,
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=folder,
            env=told,
            start_new_session=True,
            preexec_fn=become_leader,
        )
        self._closed = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Note what is written; answer questions late, as over a slow link."""
        seen = 0
        while not self._closed.is_set():
            if not select.select([self._master], [], [], 0.05)[0]:
                continue
            try:
                block = os.read(self._master, 1 << 16)
            except OSError:
                return
            self.bytes += block
            self.grid.feed(block)
            begin = max(0, seen - 64)  # a question may arrive in pieces
            for name, (pattern, answer) in QUESTIONS.items():
                for found in re.finditer(pattern, bytes(self.bytes[begin:])):
                    if begin + found.end() > seen:
                        self._was_asked(name, answer)
            seen = len(self.bytes)

    def _was_asked(self, name: str, answer: bytes) -> None:
        self.asked.append(name)
        if self._answers_after_s is not None:
            threading.Timer(self._answers_after_s, self.type, [answer]).start()

    def type(self, text: bytes) -> None:
        """Press keys."""
        with contextlib.suppress(OSError):  # an answer that comes after the end
            os.write(self._master, text)

    def resize(self, columns: int, rows: int) -> None:
        """Another size of the window."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def wait_for(self, text: bytes, patience_s: float = 50.0, since: int = 0) -> float:
        """Wait until a text was written after byte `since`; returns seconds since the start."""
        self.wait_until(lambda: text in self.bytes[since:], f"{text!r} was not written", patience_s)
        return time.monotonic() - self.begun

    def shows(self, text: str, patience_s: float = 50.0) -> float:
        """Wait until a text is on the screen; returns seconds since the start."""
        self.wait_until(lambda: text in self.grid.text(), f"{text!r} is not shown", patience_s)
        return time.monotonic() - self.begun

    def wait_until(self, true: Callable[[], bool], words: str, patience_s: float = 50.0) -> None:
        """Wait until something is true."""
        deadline = time.monotonic() + patience_s
        while not true():
            assert time.monotonic() < deadline, f"{words}:\n{self.grid.text()}"
            time.sleep(0.002)

    def hang_up(self) -> None:
        """Drop the line, as when an SSH connection ends."""
        self._closed.set()
        self._reader.join()
        os.close(self._master)
        os.close(self.slave)

    def leave(self, key: bytes = b"q", patience_s: float = 50.0) -> int:
        """Press the key that ends the program and wait for it; returns its exit code."""
        self.type(key)
        return self.process.wait(patience_s)

    def left_to_read(self) -> bytes:
        """Bytes that wait in the terminal for whoever reads next, a shell for instance."""
        attributes = termios.tcgetattr(self.slave)
        attributes[3] &= ~(termios.ICANON | termios.ECHO)
        termios.tcsetattr(self.slave, termios.TCSANOW, attributes)
        os.set_blocking(self.slave, False)
        try:
            return os.read(self.slave, 4096)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """End what still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if not self._closed.is_set():
            self.hang_up()


def watch(run: Path, *words: str) -> list[str]:
    """The command line of the monitor on a run."""
    return [sys.executable, "-m", "cli", "watch", str(run), *words]
