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

_MOST_WAITING = 100_000  # events, some 50 MB; beyond it every second step event is dropped
_CLOSE_S = 2.0  # how long `close` waits for room
_PAUSE_S = 0.2


class TrainerJournal(JournalWriter):
    """Keeps in memory what the disk refuses, and writes it in order once there is room again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._waiting: deque[Event] = deque()
        self._refused_at = 0.0
        self._problem = ""

    def write(self, event: Event) -> None:
        """Append the events that wait and this one; on a full disk it waits too."""
        waiting = len(self._waiting)
        self._waiting.append(event)
        if not waiting:
            self._refused_at = time.time()
        if self._flush():
            if waiting:
                self._waiting.append(self._late(waiting, event))
                self._flush()
        elif len(self._waiting) > _MOST_WAITING:
            numbered = enumerate(self._waiting)
            self._waiting = deque(e for i, e in numbered if i % 2 or not isinstance(e, Step))

    def sync(self) -> None:
        """Let everything written reach the disk itself, if it can."""
        try:
            super().sync()
        except OSError as error:  # the run is over; nobody reads a finding any more
            self._problem = error.strerror or str(error)

    def close(self) -> None:
        """Try for a moment to write what waits; else leave it elsewhere and say so on stderr."""
        deadline = time.monotonic() + _CLOSE_S
        while not self._flush() and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        if self._waiting:
            write_stderr(self._save_elsewhere())
        super().close()

    def _flush(self) -> bool:
        """Write what waits, as far as the disk takes it; whether that was all."""
        try:
            while self._waiting:
                super().write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self._problem = error.strerror or str(error)
        return not self._waiting

    def _save_elsewhere(self) -> str:
        """Write what waits into the system's temporary folder; returns the message that says so."""
        events = self._waiting
        message = (
            f"tmssl: the last {len(events)} events do not fit into {safe(self._path)} "
            f"({self._problem})"
        )
        last, end = events[-1], ""
        if isinstance(last, End):  # nobody can read in the journal how the run ended
            end = f". The run {last.status}: {safe(last.reason)}"
        try:
            path = _write_temporary(b"".join(map(encode, events)))
        except OSError as error:
            steps = [event.step for event in events if isinstance(event, Step)]
            lost = f": steps {steps[0]} to {steps[-1]}" if steps else ""
            return f"{message}, nor elsewhere ({error.strerror}), and are lost{lost}{end}"
        return f"{message}; they are in {path}: append that file once there is room{end}"

    def _late(self, count: int, event: Event) -> Finding:
        """The finding that events came late."""
        return Finding(
            code="journal-held",
            level="warning",
            step=getattr(event, "step", 0),
            epoch=float(getattr(event, "epoch", 0.0)),
            text=f"the disk refused the journal for {time.time() - self._refused_at:.0f} s "
            f"({self._problem}); {count} events waited in memory and are written now",
            advice="keep disk space free: what waits in memory is lost with the process",
            t=time.time(),
        )


def _write_temporary(data: bytes) -> str:
    """Write journal lines to a new file in the system's temporary folder, and return its path.

    Raises:
        OSError: it is full too; nothing is left there.
    """
    file, path = tempfile.mkstemp(prefix="tmssl-journal-", suffix=".jsonl")
    try:
        with os.fdopen(file, "wb") as rest:
            rest.write(data)
    except OSError:
        Path(path).unlink()
        raise
    return path


def write_stderr(line: str) -> None:
    """Print a line to stderr unbuffered: what a full disk refuses must not wait in a buffer."""
    with contextlib.suppress(OSError):
        os.write(2, line.encode() + b"\n")
