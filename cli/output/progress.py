"""Progress of long work: a bar with an ETA for a person, plain lines for a log.

The monitor, which shows the newest line, asks for more of them by `TMSSL_PROGRESS_S`.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from cli.follow import say
from tmssl.text import duration, number

_PLAIN_S = 5.0  # seconds between plain lines, unless TMSSL_PROGRESS_S says otherwise


@contextlib.contextmanager
def progress_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A function to call with (done, total) while the work goes on."""
    if sys.stderr.isatty():
        with _live(label) as update:
            yield update
    else:
        yield _plain(label)


def pace_words(label: str, done: int, total: int, seconds: float) -> str:
    """`embedding 1200/3000 (40 %), 300/s, ETA 6s`."""
    speed = done / seconds if seconds > 0 else 0.0
    eta = (total - done) / speed if speed else None
    share = 100 * done // total if total else 100
    return f"{label} {done}/{total} ({share} %), {number(speed, 3)}/s, ETA {duration(eta)}"


def _plain(label: str) -> Callable[[int, int], None]:
    """A line every few seconds and one at the end."""
    begun = time.monotonic()
    told, pause = [begun], _pause()

    def update(done: int, total: int) -> None:
        now = time.monotonic()
        if now - told[0] >= pause or (done == total and now - begun >= 1):
            told[0] = now
            say(pace_words(label, done, total, now - begun))

    return update


def _pause() -> float:
    """Seconds between plain lines; what is no number is passed over."""
    with contextlib.suppress(ValueError):
        return float(os.environ.get("TMSSL_PROGRESS_S", _PLAIN_S))
    return _PLAIN_S


@contextlib.contextmanager
def _live(label: str) -> Iterator[Callable[[int, int], None]]:
    """A rich progress bar on stderr."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    ]
    begun = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="")

        def update(done: int, total: int) -> None:
            seconds = time.monotonic() - begun
            rate = f"{number(done / seconds, 3)}/s" if seconds > 0.5 else ""
            bar.update(task, completed=done, total=total, rate=rate)

        yield update
