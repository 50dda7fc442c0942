"""How a command ends when a signal tells it to."""

import signal
import sys
from types import FrameType


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP unwind a command as Ctrl-C does: exit code 143 or 129.

    Files are written beside their names, so none is left half done; workers and children end too, and
    the terminal's cursor comes back. A hang-up that is ignored, as under `nohup`, stays ignored.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ended)


def _ended(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
