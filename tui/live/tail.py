"""Follows a journal in a worker thread: first a sample of a large one, then the whole, then what is appended."""

import threading
import time
from collections.abc import Iterator

from tmssl.errors import JournalError
from tmssl.runs.events import Started
from tmssl.runs.folder import Run, is_alive, what_is_gone
from tmssl.runs.history import History, read_history
from tmssl.runs.journal import Tail, last_segment, sample
from tui.live.messages import JournalUpdate

_POLL_S = 0.5
_RETRY_S = 5.0
_SLICE_BYTES = 64 << 10  # about 2 ms of decoding, the longest that a key waits
_YIELD_S = 0.0005  # lets the UI thread run between slices
_LARGE_BYTES = 4 << 20


def follow(run: Run, stop: threading.Event) -> Iterator[JournalUpdate]:
    """Updates of a run until `stop` is set: a history first, then the events that are appended.

    For a large journal a sample comes at once and the whole after it is read. An update without events reports
    that the trainer started or ended, how much was read, or a problem.
    """
    while not stop.is_set():
        try:
            yield from _follow(run, stop)
        except (JournalError, OSError) as error:
            yield JournalUpdate(run, is_alive(run), problem=str(error))
            stop.wait(_RETRY_S)


def _follow(run: Run, stop: threading.Event) -> Iterator[JournalUpdate]:
    """As `follow`, but a journal that cannot be read raises."""
    tail = Tail(run.journal)
    if run.journal.exists() and run.journal.stat().st_size > _LARGE_BYTES:
        yield from _sampled(run)
    history: History | None = History()  # None once the receiver has it
    reported_at, alive, gone = time.monotonic(), is_alive(run), ""
    had_journal = run.journal.exists()
    while not stop.is_set():
        was_alive, alive = alive, is_alive(run)  # before the poll, which then reads the last events
        was_gone, gone = gone, what_is_gone(run, had_journal=had_journal)
        had_journal = had_journal or run.journal.exists()
        if gone != was_gone:
            yield JournalUpdate(run, alive, problem=gone)
        events, restarted = tail.poll(_SLICE_BYTES)
        if restarted:
            history = History()
        behind = tail.behind
        if history is None:
            if events or alive != was_alive:
                yield JournalUpdate(run, alive, tuple(events))
        else:
            history.add(events)
            if not behind:
                yield JournalUpdate(run, alive, history=history)
                history = None
            elif time.monotonic() - reported_at > _POLL_S:
                reported_at = time.monotonic()
                yield JournalUpdate(run, alive, share=tail.share)
        stop.wait(_YIELD_S if behind else _POLL_S)


def _sampled(run: Run) -> Iterator[JournalUpdate]:
    """A sample of a large journal; a second one when the sample misses the current segment."""
    events = sample(run.journal)
    history = read_history(events)
    yield JournalUpdate(run, is_alive(run), history=history, share=0.0)
    segment = last_segment(run.journal)
    if segment is not None and segment not in history.segments:
        later = (i for i, e in enumerate(events) if not isinstance(e, Started) and e.t > segment.t)
        events.insert(next(later, len(events)), segment)
        yield JournalUpdate(run, is_alive(run), history=read_history(events), share=0.0)
