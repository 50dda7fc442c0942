"""A journal while it grows, read off the screen's thread: the newest first, the rest in small slices."""

import threading
import time
from collections.abc import Iterator

from tmssl.errors import JournalError
from tmssl.runs.events import Started
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import Tail, last_segment, sample
from tui.live.messages import JournalUpdate

_LOOK_S = 0.5
_RETRY_S = 5.0
_SLICE = 64 << 10  # some 2 ms of decoding, so that a key never waits for more
_BREATH_S = 0.0005  # lets the screen's thread have its turn
_LARGE = 4 << 20


def follow(run: Run, left: threading.Event) -> Iterator[JournalUpdate]:
    """JournalUpdate of a run until `left` is set: a history first, then what is appended to it.

    Of a large journal a sample comes at once, and the whole when it has been read. JournalUpdate without events says
    that the trainer came or went, how much has been read, or what is wrong.
    """
    while not left.is_set():
        try:
            yield from _follow(run, left)
        except (JournalError, OSError) as error:
            yield JournalUpdate(run, is_alive(run), problem=str(error))
            left.wait(_RETRY_S)


def _follow(run: Run, left: threading.Event) -> Iterator[JournalUpdate]:
    """As `follow`, but a journal that can't be read raises."""
    tail = Tail(run.journal)
    if run.journal.exists() and run.journal.stat().st_size > _LARGE:
        yield from _glance(run)
    history: History | None = History()
    told, alive = time.monotonic(), is_alive(run)
    while not left.is_set():
        before, alive = (
            alive,
            is_alive(run),
        )  # asked first: what its last breath wrote is read below
        events, restarted = tail.poll(_SLICE)
        if restarted:
            history = History()
        behind = tail.behind
        if history is None:
            if events or alive != before:
                yield JournalUpdate(run, alive, tuple(events))
        else:
            history.add(events)
            if not behind:
                yield JournalUpdate(run, alive, history=history)
                history = None
            elif time.monotonic() - told > _LOOK_S:
                told = time.monotonic()
                yield JournalUpdate(run, alive, share=tail.share)
        left.wait(_BREATH_S if behind else _LOOK_S)


def _glance(run: Run) -> Iterator[JournalUpdate]:
    """A sample of a large journal, and once more when another segment than its own is in force."""
    events = sample(run.journal)
    history = read_history(events)
    yield JournalUpdate(run, is_alive(run), history=history, share=0.0)
    segment = last_segment(run.journal)
    if segment is not None and segment not in history.segments:
        later = (i for i, e in enumerate(events) if not isinstance(e, Started) and e.t > segment.t)
        place = next(later, len(events))
        events.insert(place, segment)
        yield JournalUpdate(run, is_alive(run), history=read_history(events), share=0.0)
