"""The standard streams as a person's machine has them: closed, full, unread, or in an encoding without our signs."""

import codecs
import io
import os
import select
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from tmssl.errors import TmsslError
from tmssl.system import is_utf8, started_environment
from tmssl.text import lookalike

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_LONGER = {
    "\u2026": "...",
    "\u2192": "->",
    "\u2190": "<-",
    "\u2265": ">=",
    "\u2264": "<=",
    "\u00b1": "+-",
    "\ufffd": "?",
}
"""signs of ours in ASCII, where a line may grow; `lookalike` has the others"""
_HANDLER = "tmssl"
_DRAWN = "\u2500\u2502\u2588\u2580\u28ff"  # of the charts
_NO_BYTES = ("utf-16", "utf-32")  # encodings in which a single byte is no character


def prepare_streams() -> None:
    """Let every character be written to stdout and stderr, and children write UTF-8.

    A closed stream goes nowhere, so that no file that is opened later takes its number. A character
    that an encoding lacks is written as its like in ASCII, or as `\\u4e2d`; the bytes of a file name
    that are no UTF-8 are written as they are. A terminal whose locale has no UTF-8 gets ASCII alone.

    A command ends with 0 when the reader of its data has gone, and with an error when they cannot be
    written for another reason. Words that nobody takes are lost, and the work goes on.
    """
    for number, mode in enumerate(("r", "w", "w")):
        _open_nowhere(number, mode)
    codecs.register_error(_HANDLER, _replace)
    ascii_only = not _wants_unicode(started_environment())
    for name, kind in (("stdout", _Data), ("stderr", _Words)):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and _has_number(stream):
            plain = ascii_only and stream.isatty() and stream.encoding.lower().startswith("utf")
            file = io.BufferedWriter(kind(stream.fileno(), "w", closefd=False))
            lines = stream.isatty() or name == "stderr"
            encoding = "ascii" if plain else stream.encoding
            opened = io.TextIOWrapper(file, encoding, _HANDLER, line_buffering=lines)
            setattr(sys, name, opened)
            setattr(sys, f"__{name}__", opened)
    os.environ["PYTHONIOENCODING"] = "utf-8"  # what we read of children


def _has_number(stream: io.TextIOWrapper) -> bool:
    """Whether a stream is one of the process, and nothing that stands in for it."""
    try:
        stream.fileno()
    except io.UnsupportedOperation:
        return False
    return True


class _Data(io.FileIO):
    """Standard output as bytes."""

    def write(self, data: "ReadableBuffer") -> int:
        """Write data.

        Raises:
            SystemExit: with 0, since whoever read them has gone, as `| head` does; that is no failure.
            TmsslError: a disk or a terminal does not take them.
        """
        try:
            return super().write(data)
        except OSError as error:
            _lead_nowhere(self.fileno())  # also what is still to come, at the exit
            if isinstance(error, BrokenPipeError):
                raise SystemExit(0) from None
            raise TmsslError(f"standard output cannot be written: {error.strerror}") from error


class _Words(io.FileIO):
    """Standard error as bytes: a reader that has gone or a full disk stops no work."""

    def write(self, data: "ReadableBuffer") -> int:
        """Write words, or lose them."""
        try:
            return super().write(data)
        except OSError:
            return memoryview(data).nbytes


def _lead_nowhere(number: int) -> None:
    """Let an open stream lead to the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def end_without_reader() -> None:
    """End with 0 if the reader of standard output has gone, for a command that waits with nothing to write.

    Raises:
        SystemExit: it has.
    """
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        raise SystemExit(0)


def _open_nowhere(number: int, mode: str) -> None:
    """Open a standard stream that is closed, on the null device."""
    try:
        os.fstat(number)
    except OSError:
        # The lowest free number; the lower ones are open by now.
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
    name = ("stdin", "stdout", "stderr")[number]
    if getattr(sys, name) is None:
        stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _wants_unicode(environment: Mapping[str, str]) -> bool:
    """Whether a terminal takes what Python writes there: by the person's word to Python, or the locale.

    Python itself takes UTF-8 for the encoding of the locales C and POSIX (PEP 538 and 540), whatever the
    terminal, tmux or screen takes.
    """
    told = environment.get("PYTHONIOENCODING", "").partition(":")[0]
    return bool(told) or environment.get("PYTHONUTF8") == "1" or is_utf8(environment)


def _replace(error: UnicodeError) -> tuple[str | bytes, int]:
    """What is written in place of characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    if all("\udc80" <= character <= "\udcff" for character in lacking):
        if error.encoding.lower().replace("_", "-").startswith(_NO_BYTES):
            return "?" * len(lacking), error.end
        return lacking.encode("ascii", "surrogateescape"), error.end
    return "".join(map(_plain, lacking)), error.end


def _plain(character: str) -> str:
    """A character in ASCII."""
    like = _LONGER.get(character) or lookalike(character)
    return like or character.encode("ascii", "backslashreplace").decode("ascii")


def draws_unicode(stream: TextIO) -> bool:
    """Whether the encoding of a stream has the signs of charts and frames."""
    try:
        _DRAWN.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
