"""What every process that works for another does: it leaves the terminal's signals to it, and ends with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_OF_A_TERMINAL = (signal.SIGINT, signal.SIGHUP)  # reach the whole foreground group


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started inside ignore Ctrl-C and a hang-up even while they import.

    Only the parent is to act on them. Signals can only be set in the main thread; elsewhere
    `begin_worker` does the same a little later.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in _OF_A_TERMINAL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def begin_worker() -> None:
    """Leave the terminal's signals to the parent, and end with it even if it is killed outright."""
    for number in _OF_A_TERMINAL:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait until the parent is gone, then end this worker, which would wait for work forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
