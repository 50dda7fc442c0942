"""The trainer's journal, which neither a full disk nor the loss of its file stops."""

import contextlib
import io
import os
import shutil
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import BinaryIO

import msgspec

from tmssl.files import atomic_path, open_plain, shown_path
from tmssl.locks import is_at
from tmssl.runs.events import Axes, End, Event, Finding, Started, Step
from tmssl.runs.history import History
from tmssl.runs.journal import JournalWriter, encode
from tmssl.text import safe
from tmssl.types import Progress

_MOST_WAITING = 100_000  # events, some 50 MB; beyond it every second step event is dropped
_SAME_BYTES = 256  # by which two files are taken for the same journal
_CLOSE_S = 2.0  # how long `close` waits for room
_PAUSE_S = 0.2
_TOLD_S = 2.0  # between lines on the fit of the whitening


class TrainerJournal(JournalWriter):
    """Keeps in memory what the disk refuses, and writes it in order once there is room again.

    Where its file was deleted, moved away or replaced by another, the record gets its name back, whole.
    """

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
            self._refused_at = time.monotonic()
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
            self._keep_name()
            while self._waiting:
                super().write(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self._problem = error.strerror or str(error)
        return not self._waiting

    def _keep_name(self) -> None:
        """Write the record anew where its name no longer leads to it.

        A file that begins like the record, as after an edit, takes its place; of any other, as an evaluation
        beside the training makes, the content is appended. A folder that is gone gets no file.

        Raises:
            OSError: the disk refuses it, or a link or the like has the name.
        """
        if is_at(self._path, self._file):
            return
        with contextlib.suppress(FileNotFoundError), contextlib.ExitStack() as opened:
            record = opened.enter_context(os.fdopen(os.dup(self._file), "rb"))
            other: BinaryIO = io.BytesIO()
            if os.path.lexists(self._path):
                other = opened.enter_context(os.fdopen(open_plain(self._path, os.O_RDONLY), "rb"))
            record.seek(0)
            beginning, its = record.read(_SAME_BYTES), other.read(_SAME_BYTES)
            if not its or its != beginning:
                with atomic_path(self._path) as fresh, fresh.open("wb") as file:
                    file.write(beginning)
                    shutil.copyfileobj(record, file)
                    file.write(b"\n" * self._torn + its)
                    shutil.copyfileobj(other, file)
            lost = self._file
            self._open(self._path)
            os.close(lost)
            super().write(self._restored())

    def _restored(self) -> Finding:
        """The finding that the file was lost, of the event that is written next."""
        event = self._waiting[0] if self._waiting else None
        return Finding(
            code="journal-restored",
            level="warning",
            step=getattr(event, "step", 0),
            epoch=float(getattr(event, "epoch", 0.0)),
            text="the file of the journal was deleted, moved or replaced while training went on; it is there "
            "again with all that this trainer knows of",
            advice="stop the run before its files are moved",
            t=time.time(),
        )

    def _save_elsewhere(self) -> str:
        """Write what waits into the system's temporary folder; returns the message that says so."""
        events = self._waiting
        message = (
            f"tmssl: the last {len(events)} events do not fit into {shown_path(self._path)} "
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
            text=f"the disk refused the journal for {time.monotonic() - self._refused_at:.0f} s "
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


def fitting_progress(journal: JournalWriter | None, history: History, started: Started) -> Progress:
    """A callback that journals how far the fit of the whitening is, if it takes more than a moment.

    Nothing else is journaled yet, so the first line, `started`, is written before.
    """
    begun = told = time.perf_counter()

    def tell(done: int, total: int) -> None:
        nonlocal begun, told
        now = time.perf_counter()
        if done == 0:
            begun = told = now
        if journal is None or now - told < _TOLD_S:
            return
        told, seconds = now, now - begun
        left = seconds * (total - done) / done
        number = len(history.segments)
        axes = Axes(segment=number, done=done, total=total, seconds=seconds, seconds_left=left)
        for event in (started, msgspec.structs.replace(axes, t=time.time())):
            if event is not started or history.started is None:
                journal.write(event)
                history.add([event])

    return tell
