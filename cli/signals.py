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


def end_without_terminal() -> None:
    """Let SIGHUP end a command that has no terminal to lose as SIGTERM does, after `outlive_terminal`."""
    on_terminal = any(os.isatty(stream) for stream in range(3))
    if not on_terminal and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _end)


class Interrupted(KeyboardInterrupt):
    """A signal that asks for the same as Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


def signal_of(interrupt: KeyboardInterrupt) -> signal.Signals:
    """The signal that interrupted: SIGINT, or another one that is taken for it."""
    return interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT


def interrupt_in_order() -> None:
    """Let SIGTERM interrupt as Ctrl-C does, after `outlive_terminal`, also as process 1 of a container.

    So does SIGHUP where there is no terminal. The loss of a terminal ends the process, and the trainer,
    which is no part of it, goes on.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        on_terminal = any(os.isatty(stream) for stream in range(3))
        signal.signal(signal.SIGHUP, signal.SIG_DFL if on_terminal else _interrupt)


def interrupt_but_outlive_terminal() -> None:
    """Let SIGTERM interrupt as Ctrl-C does, after `outlive_terminal`; the loss of a terminal ends nothing.

    So does SIGHUP where there is no terminal.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    on_terminal = any(os.isatty(stream) for stream in range(3))
    if not on_terminal and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interrupted(number)


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
