"""`metrics.jsonl`: appended a line at a time, tailed while it grows, forgiving to read."""

import json
import math
import os
from pathlib import Path

import msgspec

from tmssl.errors import JournalError
from tmssl.runs.events import Event

MAX_LINE_BYTES = 1 << 20  # a longer line is damage, and is skipped without being decoded

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)


def encode(event: Event) -> bytes:
    """One journal line, newline included; NaN and infinities become null."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes) -> Event | None:
    """The event of one line, or None for a line that is damaged or of an unknown kind.

    JSON from other writers may hold NaN and Infinity, which become None like our own null.
    """
    if not line.strip() or len(line) > MAX_LINE_BYTES:
        return None
    try:
        return _decoder.decode(line)
    except msgspec.DecodeError:
        return _decode_non_finite(line)


def _decode_non_finite(line: bytes) -> Event | None:
    """The event of a line that strict JSON refuses, read by Python's own parser."""
    try:
        told = json.loads(line, parse_constant=lambda _: None, parse_float=_finite_float)
        return msgspec.convert(told, Event)
    except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
        return None


def _finite_float(text: str) -> float | None:
    """A JSON number, or None for one such as 1e400 that is beyond a float."""
    value = float(text)
    return value if math.isfinite(value) else None


class JournalWriter:
    """Appends events; each line reaches the kernel in one write, so readers and writers never mix.

    A torn last line left by a crash is closed with a newline, never removed: readers skip it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal {path}: {error.strerror}; check the disk and the folder's owner"
            ) from error
        self._torn = False
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")

    def write(self, event: Event) -> None:
        """Append one event; on return a reader sees it.

        Raises:
            OSError: the disk refused it; a part of the line may be there, which the next one closes.
        """
        line = (b"\n" if self._torn else b"") + encode(event)
        self._torn = True
        written = os.write(self._file, line)
        while written < len(line):  # a full disk can cut a write short
            written += os.write(self._file, line[written:])
        self._torn = False

    def sync(self) -> None:
        """Wait until everything written is on the disk itself."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Tail:
    """Follows a journal while it grows: torn last lines wait, a replaced file starts over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        """lines that were damaged or of an unknown kind"""
        self._offset = 0
        self._partial = b""
        self._inode: int | None = None

    def poll(self, max_bytes: int = 4 << 20) -> tuple[list[Event], bool]:
        """The events since the last poll, and whether the file was replaced or cut and starts over.

        Reads at most `max_bytes`, so a caller can paint between slices; an absent file has no events.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return [], False
        except OSError as error:
            raise JournalError(f"cannot read the journal {self.path}: {error.strerror}") from error
        with file:
            status = os.fstat(file.fileno())
            restarted = self._inode is not None and (
                status.st_ino != self._inode or status.st_size < self._offset
            )
            if restarted:
                self._offset, self._partial, self.skipped = 0, b"", 0
            self._inode = status.st_ino
            file.seek(self._offset)
            block = file.read(max_bytes)
        self._offset += len(block)
        return self._events(block), restarted

    @property
    def behind(self) -> bool:
        """Whether the file holds more than has been read."""
        try:
            return self.path.stat().st_size > self._offset
        except FileNotFoundError:
            return False

    def _events(self, block: bytes) -> list[Event]:
        """The events of the complete lines in what was kept and what was read."""
        *lines, self._partial = (self._partial + block).split(b"\n")
        if len(self._partial) > MAX_LINE_BYTES:
            # The rest of an oversized line is damage too; keep enough to stay oversized.
            self._partial = self._partial[: MAX_LINE_BYTES + 1]
        events = []
        for line in lines:
            event = decode(line)
            if event is not None:
                events.append(event)
            elif line.strip():
                self.skipped += 1
        return events


def read_journal(path: Path) -> list[Event]:
    """All events of a journal as it is now; a complete last line counts even without its newline."""
    if not path.exists():
        raise JournalError(
            f"no journal at {path}; the run has not written yet, or this is not a run"
        )
    tail = Tail(path)
    events: list[Event] = []
    while tail.behind:
        events += tail.poll()[0]
    last = decode(tail._partial)
    return events if last is None else [*events, last]


def finite(value: float | None) -> bool:
    """Whether a figure was measured and is finite."""
    return value is not None and math.isfinite(value)
