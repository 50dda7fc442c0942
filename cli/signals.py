"""How a command takes signals and the loss of its terminal."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


def end_in_order() -> None:
    """Let SIGTERM and SIGHUP unwind a command as Ctrl-C does: exit code 143 or 129.

    Files are written beside their names, so none is left half done; workers and children end too, and
    the terminal's cursor comes back. A hang-up that is ignored, as under `nohup`, stays ignored.
    """
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _end)


def outlive_terminal() -> Callable[[], bool]:
    """Let a command that works for hours go on when its terminal is closed, as the trainer does.

    SIGTERM unwinds it as in `end_in_order`. What would have gone to the lost terminal goes nowhere.
    SIGUSR1, which asks a trainer for a checkpoint, is ignored: these commands keep what they finish.

    Returns:
        whether the terminal is lost by now.
    """
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    terminals = [stream for stream in range(3) if os.isatty(stream)]  # a lost one is none any more
    lost = False

    def lose(_number: int, _frame: FrameType | None) -> None:
        nonlocal lost
        lost = True
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in terminals:
            os.dup2(nowhere, stream)
        os.close(nowhere)

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lose)
    return lambda: lost


def end_with_terminal() -> None:
    """Let a hang-up end the process again, after `outlive_terminal`."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
