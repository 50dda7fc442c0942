"""Progress of long work: a bar with an ETA on a terminal, plain lines elsewhere.

The monitor shows the newest line and sets `TMSSL_PROGRESS_S` to get lines more often.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from cli.output.console import say
from tmssl.text import duration, number

if TYPE_CHECKING:
    from tmssl.runs.events import Axes
    from tmssl.types import Progress

_PLAIN_S = 5.0  # seconds between plain lines, unless TMSSL_PROGRESS_S says otherwise


@contextlib.contextmanager
def progress_bar(label: str, begun: float | None = None) -> "Iterator[Progress]":
    """Show the progress of one phase; yields the function to call with (done, total).

    `begun` is the `time.monotonic()` at which it began, where that is not now.
    """
    begun = time.monotonic() if begun is None else begun
    if sys.stderr.isatty():
        with _live(label, begun) as update:
            yield update
    else:
        yield _plain(label, begun)


@contextlib.contextmanager
def fitting_bar() -> "Iterator[Callable[[Axes], None]]":
    """Show the fit of the whitening, which may not come; yields the function to call with its events."""
    updates: list[Progress] = []
    with contextlib.ExitStack() as bar:

        def show(axes: "Axes") -> None:
            if not updates:
                begun = time.monotonic() - (axes.seconds or 0.0)
                updates.append(bar.enter_context(progress_bar("fitting the whitening", begun)))
            updates[0](axes.done, axes.total)

        yield show


@contextlib.contextmanager
def phase_bars() -> "Iterator[tuple[Callable[[str], None], Progress]]":
    """Show the progress of phases in turn; yields a function that begins a named phase, and one
    to call with its (done, total).
    """
    current: list[Progress] = []
    with contextlib.ExitStack() as bars:

        def begin(label: str) -> None:
            bars.close()
            current[:] = [bars.enter_context(progress_bar(label))]

        def update(done: int, total: int) -> None:
            for bar in current:
                bar(done, total)

        yield begin, update


def pace_words(label: str, done: int, total: int, seconds: float) -> str:
    """`embedding 1200/3000 (40 %), 300/s, ETA 6s`."""
    speed = done / seconds if seconds > 0 else 0.0
    eta = (total - done) / speed if speed else None
    share = 100 * done // total if total else 100
    return f"{label} {done}/{total} ({share} %), {number(speed, 3)}/s, ETA {duration(eta)}"


class _Clock:
    """Times a count, anew when it falls, as of the next of several works under one label."""

    def __init__(self, begun: float) -> None:
        self._begun = begun
        self._latest = 0

    def seconds(self, done: int) -> float:
        """Seconds since the count began that is now at `done`."""
        if done < self._latest:
            self._begun = time.monotonic()
        self._latest = done
        return time.monotonic() - self._begun


def _plain(label: str, begun: float) -> "Progress":
    """Print a line every few seconds, and one at the end of work of a second or more."""
    clock, printed = _Clock(begun), begun
    interval = _interval()

    def update(done: int, total: int) -> None:
        nonlocal printed
        now, seconds = time.monotonic(), clock.seconds(done)
        if now - printed >= interval or (done == total and seconds >= 1):
            printed = now
            say(pace_words(label, done, total, seconds))

    return update


def _interval() -> float:
    """Seconds between plain lines; a `TMSSL_PROGRESS_S` that is not a number is ignored."""
    with contextlib.suppress(ValueError):
        return float(os.environ.get("TMSSL_PROGRESS_S", _PLAIN_S))
    return _PLAIN_S


@contextlib.contextmanager
def _live(label: str, begun: float) -> "Iterator[Progress]":
    """Show a rich progress bar on stderr."""
    from rich import progress
    from rich.console import Console

    columns = [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(bar_width=20),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"),
        progress.TimeRemainingColumn(),
    ]
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task, clock = bar.add_task(label, total=None, rate=""), _Clock(begun)

        def update(done: int, total: int) -> None:
            seconds = clock.seconds(done)
            rate = f"{number(done / seconds, 3)}/s" if seconds > 0.5 else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield update
