"""`metrics.jsonl`: appended a line at a time, tailed while it grows, forgiving to read."""

import json
import math
import os
from pathlib import Path

import msgspec

from tmssl.errors import JournalError
from tmssl.runs.events import Event, Segment

MAX_LINE_BYTES = 1 << 20  # a longer line is damage, and is skipped without being decoded
_SEGMENT = b'\n{"kind":"segment"'

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_ODD = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""what a line that is no event of ours may raise"""


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
    except _ODD:
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

    A torn last line left by a crash is closed by the next one, never removed: readers skip it.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal {path}: {error.strerror}; check the disk and the folder's owner"
            ) from error
        size = os.fstat(self._file).st_size
        self._torn = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"

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
            if self._inode is not None:
                self._inode = -1  # whatever comes next is another file, even under the same number
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
        return self.share < 1

    @property
    def share(self) -> float:
        """How much of the file has been read, 0 to 1."""
        try:
            size = self.path.stat().st_size
        except OSError:
            return 1.0
        return min(1.0, self._offset / size) if size else 1.0

    def _events(self, block: bytes) -> list[Event]:
        """The events of the complete lines in what was kept and what was read."""
        *lines, self._partial = (self._partial + block).split(b"\n")
        if len(self._partial) > MAX_LINE_BYTES:
            # The rest of an oversized line is damage too; keep enough to stay oversized.
            self._partial = self._partial[: MAX_LINE_BYTES + 1]
        events, skipped = _decode_lines(lines)
        self.skipped += skipped
        return events


def _decode_lines(lines: list[bytes]) -> tuple[list[Event], int]:
    """The events of lines, and how many were skipped; all at once while none is odd."""
    if max(map(len, lines), default=0) <= MAX_LINE_BYTES:
        try:
            return _decoder.decode_lines(b"\n".join(lines)), 0
        except _ODD:
            pass  # a line of them is odd; each by itself then
    events, skipped = [], 0
    for line in lines:
        event = decode(line)
        if event is not None:
            events.append(event)
        elif line.strip():
            skipped += 1
    return events, skipped


def sample(path: Path, blocks: int = 48, block_bytes: int = 32 << 10) -> list[Event]:
    """Events from all over a journal that is too large to read at once, in order.

    The first and the newest are among them, the latter from a block four times as large; it takes some
    20 ms whatever the size, which must be above `(blocks + 4) * block_bytes`.

    Raises:
        JournalError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            newest = max(0, os.fstat(file.fileno()).st_size - 4 * block_bytes)
            wanted = [(newest * i // blocks, block_bytes) for i in range(blocks)]
            events: list[Event] = []
            for place, length in [*wanted, (newest, 4 * block_bytes)]:
                file.seek(place)
                lines = file.read(length).split(b"\n")
                events += _decode_lines(lines[1 if place else 0 : -1])[0]
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from error
    return events


def last_segment(
    path: Path, block_bytes: int = 256 << 10, most_bytes: int = 64 << 20
) -> Segment | None:
    """The segment in force, found from the end; None when it is the first line, or farther than `most_bytes`.

    Raises:
        JournalError: the journal cannot be read.
    """
    try:
        with path.open("rb") as file:
            place = size = os.fstat(file.fileno()).st_size
            after = b""
            while place > max(0, size - most_bytes):
                begin = max(0, place - block_bytes)
                file.seek(begin)
                block = file.read(place - begin) + after
                found = block.rfind(_SEGMENT)
                if found >= 0:
                    file.seek(begin + found + 1)
                    event = decode(file.readline(MAX_LINE_BYTES + 1))
                    return event if isinstance(event, Segment) else None
                place, after = begin, block[: len(_SEGMENT)]
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from error
    return None


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
