"""The trainer's journal, which a full disk does not stop."""

import contextlib
import os
import tempfile
import time
from collections import deque
from pathlib import Path

from tmssl.runs.events import End, Event, Finding, Step
from tmssl.runs.journal import JournalWriter, encode
from tmssl.text import safe

_MOST_HELD = 100_000  # events, some 50 MB; beyond it every second step is let go
_LAST_S = 2.0  # for which the end of the process waits for room
_PAUSE_S = 0.2


class PatientJournal(JournalWriter):
    """Keeps in memory what the disk refuses, and writes it in order once there is space again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._held: deque[Event] = deque()
        self._since = 0.0
        self._why = ""

    def write(self, event: Event) -> None:
        """Append one event and whatever waits before it; on a full disk it waits too."""
        waited = len(self._held)
        self._held.append(event)
        if not waited:
            self._since = time.time()
        if self._flush():
            if waited:
                self._held.append(self._told(waited, event))
                self._flush()
        elif len(self._held) > _MOST_HELD:
            self._held = deque(
                e for i, e in enumerate(self._held) if i % 2 or not isinstance(e, Step)
            )

    def sync(self) -> None:
        """Wait until everything written is on the disk itself, if it takes it."""
        try:
            super().sync()
        except OSError as error:  # nobody is left to tell
            self._why = error.strerror or str(error)

    def close(self) -> None:
        """Try for a moment more to write what waits, or leave it elsewhere and say so on stderr."""
        until = time.monotonic() + _LAST_S
        while not self._flush() and time.monotonic() < until:
            time.sleep(_PAUSE_S)
        if self._held:
            last_words(self._left())
        super().close()

    def _flush(self) -> bool:
        """Write what waits, as far as the disk takes it; whether that was all."""
        try:
            while self._held:
                super().write(self._held[0])
                self._held.popleft()
        except OSError as error:
            self._why = error.strerror or str(error)
        return not self._held

    def _left(self) -> str:
        """Leave what waits in a file of the system's temporary folder, and say where it is."""
        count = len(self._held)
        told = f"tmssl: the last {count} events do not fit into {safe(self._path)} ({self._why})"
        try:
            rest = self._rest()
        except OSError as error:
            steps = [event.step for event in self._held if isinstance(event, Step)]
            which = f": steps {steps[0]} to {steps[-1]}" if steps else ""
            return f"{told}, nor elsewhere ({error.strerror}), and are lost{which}{self._end()}"
        return f"{told}; they are in {rest}: append that file once there is room{self._end()}"

    def _rest(self) -> str:
        """Write what waits into a temporary file and return its path."""
        file, path = tempfile.mkstemp(prefix="tmssl-journal-", suffix=".jsonl")
        try:
            with os.fdopen(file, "wb") as rest:
                rest.writelines(map(encode, self._held))
        except OSError:
            Path(path).unlink()
            raise
        return path

    def _end(self) -> str:
        """How the run ended, where nobody could read it in the journal."""
        last = self._held[-1]
        return f". The run {last.status}: {safe(last.reason)}" if isinstance(last, End) else ""

    def _told(self, waited: int, event: Event) -> Finding:
        """The finding that events came late."""
        return Finding(
            code="journal-held",
            level="warning",
            step=getattr(event, "step", 0),
            epoch=float(getattr(event, "epoch", 0.0)),
            text=f"the disk refused the journal for {time.time() - self._since:.0f} s "
            f"({self._why}); {waited} events waited in memory and are written now",
            advice="keep disk space free: what waits in memory is lost with the process",
            t=time.time(),
        )


def last_words(words: str) -> None:
    """One line on stderr, straight to it: what a full disk refuses must not wait in a buffer."""
    with contextlib.suppress(OSError):
        os.write(2, words.encode() + b"\n")
