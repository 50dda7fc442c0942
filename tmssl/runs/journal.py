"""`metrics.jsonl`: appended line by line, followed while it grows, read in spite of damaged lines."""

import json
import math
import os
from pathlib import Path

import msgspec

from tmssl.errors import JournalError
from tmssl.files import is_there, open_plain, open_to_append, shown_path
from tmssl.runs.events import Event, Segment

MAX_LINE_BYTES = 1 << 20  # a longer line is damaged, and is skipped without being decoded
_SEGMENT = b'\n{"kind":"segment"'

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Event)
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(event: Event) -> bytes:
    """One journal line, newline included; NaN and infinities become null."""
    return _encoder.encode(event) + b"\n"


def decode(line: bytes) -> Event | None:
    """The event of one line; None if the line is damaged or of an unknown kind.

    NaN and Infinity, which other writers may use, become None.
    """
    if not line.strip() or len(line) > MAX_LINE_BYTES:
        return None
    try:
        return _decoder.decode(line)
    except _DECODE_ERRORS:
        return _decode_non_finite(line)


def _decode_non_finite(line: bytes) -> Event | None:
    """The event of a line that is no strict JSON, read by Python's parser."""
    try:
        fields = json.loads(line, parse_constant=lambda _: None, parse_float=_finite_float)
        return msgspec.convert(fields, Event)
    except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
        return None


def _finite_float(text: str) -> float | None:
    """A JSON number; None if a float cannot hold it, such as 1e400."""
    value = float(text)
    return value if math.isfinite(value) else None


class JournalWriter:
    """Appends events, each line in one write, so that the lines of several writers do not mix.

    If a crash left an incomplete last line, the next event starts a new line; readers skip the old one.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._open(path)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal {shown_path(path)}: {error.strerror}; check the disk and the folder's owner"
            ) from error

    def _open(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: it is none, or the disk refuses it.
        """
        self._file = open_to_append(path)
        size = os.fstat(self._file).st_size
        self._torn = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"

    def write(self, event: Event) -> None:
        """Append one event; readers see it on return.

        Raises:
            OSError: the disk refused it. A part of the line may be written; the next event starts a new line.
        """
        line = (b"\n" if self._torn else b"") + encode(event)
        self._torn = True
        written = os.write(self._file, line)
        while written < len(line):  # a full disk can cut a write short
            written += os.write(self._file, line[written:])
        self._torn = False

    def sync(self) -> None:
        """Wait until everything written is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Tail:
    """Follows a journal while it grows; an incomplete last line waits, a replaced file is read anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0
        """lines that were damaged or of an unknown kind"""
        self._offset = 0
        self._partial = b""
        self._inode: int | None = None

    def poll(self, max_bytes: int = 4 << 20) -> tuple[list[Event], bool]:
        """The events since the last poll, and whether the file was replaced or cut and is read anew.

        It reads at most `max_bytes`, so that a caller can draw in between. A missing file has no events.
        """
        try:
            file = os.fdopen(open_plain(self.path, os.O_RDONLY), "rb")
        except FileNotFoundError:
            if self._inode is not None:
                self._inode = -1  # the next file is another one, even with the same inode number
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
        """Whether a part of the file has not been read."""
        return self.share < 1

    @property
    def share(self) -> float:
        """The share of the file that has been read, 0 to 1."""
        try:
            size = self.path.stat().st_size
        except OSError:
            return 1.0
        return min(1.0, self._offset / size) if size else 1.0

    def _events(self, block: bytes) -> list[Event]:
        """The events of the complete lines in `block`, which continues the incomplete line before."""
        *lines, self._partial = (self._partial + block).split(b"\n")
        if len(self._partial) > MAX_LINE_BYTES:
            # Keep enough of an oversized line that it is still oversized when it ends.
            self._partial = self._partial[: MAX_LINE_BYTES + 1]
        events, skipped = _decode_lines(lines)
        self.skipped += skipped
        return events


def _decode_lines(lines: list[bytes]) -> tuple[list[Event], int]:
    """The events of lines, and the number of lines that were skipped."""
    if max(map(len, lines), default=0) <= MAX_LINE_BYTES:
        try:
            return _decoder.decode_lines(b"\n".join(lines)), 0
        except _DECODE_ERRORS:
            pass  # one of them is damaged: decode each by itself
    events, skipped = [], 0
    for line in lines:
        event = decode(line)
        if event is not None:
            events.append(event)
        elif line.strip():
            skipped += 1
    return events, skipped


def sample(path: Path, blocks: int = 48, block_bytes: int = 32 << 10) -> list[Event]:
    """Events from blocks all over a journal that is too large to read at once, in order.

    They include the first and the newest events; the last block is four times as large. It takes about
    20 ms for any size, which must be above `(blocks + 4) * block_bytes`.

    Raises:
        JournalError: the journal cannot be read.
    """
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            newest = max(0, os.fstat(file.fileno()).st_size - 4 * block_bytes)
            spread = [(newest * i // blocks, block_bytes) for i in range(blocks)]
            events: list[Event] = []
            for place, length in [*spread, (newest, 4 * block_bytes)]:
                file.seek(place)
                lines = file.read(length).split(b"\n")
                events += _decode_lines(lines[1 if place else 0 : -1])[0]
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from error
    return events


def last_segment(
    path: Path, block_bytes: int = 256 << 10, most_bytes: int = 64 << 20
) -> Segment | None:
    """The newest segment, searched from the end; None if it is the first line, or is not in `most_bytes`.

    Raises:
        JournalError: the journal cannot be read.
    """
    try:
        with os.fdopen(open_plain(path, os.O_RDONLY), "rb") as file:
            place = size = os.fstat(file.fileno()).st_size
            after = b""
            while place > max(0, size - most_bytes):
                begin = max(0, place - block_bytes)
                file.seek(begin)
                block = file.read(place - begin) + after
                offset = block.rfind(_SEGMENT)
                if offset >= 0:
                    file.seek(begin + offset + 1)
                    event = decode(file.readline(MAX_LINE_BYTES + 1))
                    return event if isinstance(event, Segment) else None
                place, after = begin, block[: len(_SEGMENT)]
    except OSError as error:
        raise JournalError(f"cannot read the journal {path}: {error.strerror}") from error
    return None


def read_journal(path: Path) -> list[Event]:
    """All events of a journal; the last line counts even without its newline, if it is complete."""
    if not is_there(path):
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
