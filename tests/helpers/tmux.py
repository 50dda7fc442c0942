"""A terminal in tmux, in which tests of the monitor type keys and read the screen."""

import itertools
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.command import ROOT

_PATIENCE_S = 60.0
_POLL_S = 0.05
_AWAY_S = 0.5
_TAIL = 8  # letters of a typed text that its field shows, however narrow it is
_SERVERS = itertools.count()  # a server that is ending takes no new session


class Terminal:
    """A tmux window of its own in which `tmssl` runs."""

    def __init__(
        self, folder: Path, size: tuple[int, int], *words: str, environment: str = "TMSSL=1"
    ) -> None:
        self._socket = f"tmssl-test-{os.getpid()}-{next(_SERVERS)}"
        self._closed = False
        command = shlex.join([sys.executable, "-m", "cli", *words])
        self._tmux(
            "new-session",
            "-d",
            "-s",
            "t",
            "-x",
            str(size[0]),
            "-y",
            str(size[1]),
            "-c",
            str(folder),
            "-e",
            f"PYTHONPATH={ROOT}",
            "-e",
            f"TMSSL_CACHE={folder / 'cache'}",
            "-e",
            f"XDG_STATE_HOME={folder / self._socket}",
            "-e",
            environment,
            f"{command}; echo left with $?; {command}; echo left with $? again; sleep 600",
        )

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, "-f", "/dev/null", *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def press(self, *keys: str) -> "Terminal":
        """Press keys, by tmux's names; wait until the screen has changed between one and the next.

        Escape and a letter that arrive together would be read as alt and the letter.
        """
        for place, key in enumerate(keys):
            before = self.screen(codes=True)
            self._tmux("send-keys", "-t", "t", key)
            if place < len(keys) - 1 or key == "Tab":
                self.until(lambda: self.screen(codes=True) != before)  # noqa: B023 - called at once
        return self

    def type(self, text: str) -> "Terminal":
        """Type a text, and wait until its end stands in a field."""
        self._tmux("send-keys", "-t", "t", "-l", text)
        self.shows(text.strip()[-_TAIL:])
        return self

    def screen(self, *, codes: bool = False) -> str:
        """What a person reads, with the codes of its colours if asked."""
        return self._tmux("capture-pane", "-p", *(["-e"] if codes else []), "-t", "t")

    def shows(self, *texts: str) -> str:
        """Wait until all of the texts are on the screen; returns it."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            shown = self.screen()
            missing = [text for text in texts if text not in shown]
            if not missing:
                return shown
            assert time.monotonic() < deadline, f"{missing} not on the screen:\n{shown}"
            time.sleep(_POLL_S)

    def until(self, holds: Callable[[], bool]) -> "Terminal":
        """Wait until something holds."""
        deadline = time.monotonic() + _PATIENCE_S
        while not holds():
            assert time.monotonic() < deadline, f"it never holds:\n{self.screen()}"
            time.sleep(_POLL_S)
        return self

    def gone(self, text: str) -> "Terminal":
        """Wait until a text has been off the screen for a while: amid a redraw it is off for a moment."""
        seen = time.monotonic()

        def stays_away() -> bool:
            nonlocal seen
            if text in self.screen():
                seen = time.monotonic()
            return time.monotonic() - seen > _AWAY_S

        return self.until(stays_away)

    def resize(self, width: int, height: int) -> "Terminal":
        """Another size of the window."""
        self._tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))
        return self

    def close(self) -> None:
        """End the window and what runs in it, as a connection that is lost does."""
        if not self._closed:
            self._tmux("kill-server")
            self._closed = True
