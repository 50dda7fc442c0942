"""Waiting for a condition outside of Textual; `pilot.until` is for screens."""

import time
from collections.abc import Callable

DEADLINE_S = 60.0  # generous: another process may keep every core busy


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Poll a condition until it is true.

    Raises:
        AssertionError: the deadline passed; the message holds `what`.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        time.sleep(0.01)
