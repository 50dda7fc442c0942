"""Waiting for a condition outside of Textual; `pilot.until` is for screens.

A conftest imports this before the number of threads is set, so it must not import torch.
"""

import subprocess
import time
from collections.abc import Callable
from typing import Any, TypeVar

DEADLINE_S = 120.0  # generous: another process may keep every core busy
_POLL_S = 0.01

Result = TypeVar("Result")


def wait_for(
    condition: Callable[[], Result],
    process: "subprocess.Popen[Any] | None" = None,
    what: str = "the condition",
) -> Result:
    """Poll a condition until its result is true, and return that result.

    Raises:
        AssertionError: `process` ended first, or the deadline passed; the message holds `what`.
    """
    deadline = time.monotonic() + DEADLINE_S
    while True:
        # Read before the condition: the last thing that the process does may make it true.
        ended = process is not None and process.poll() is not None
        if result := condition():
            return result
        assert not ended, f"the process ended before {what}"
        assert time.monotonic() < deadline, f"waited {DEADLINE_S:.0f} s for {what}"
        time.sleep(_POLL_S)
