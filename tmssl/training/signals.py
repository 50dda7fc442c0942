"""Signals become flags that the loop reads between steps; nothing is interrupted half-way."""

import signal
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


class SignalFlags:
    """TERM and INT ask to stop, USR1 asks for a checkpoint, HUP is ignored.

    A closed terminal sends HUP, and training must outlive it.
    """

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None
        """the signal that asked to stop, or None"""
        self.checkpoint = False
        """whether a checkpoint was asked for; whoever takes that up clears this"""

    def install(self) -> None:
        """Take over the process's signals; only the main thread may."""
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        signal.signal(signal.SIGINT, self._ask_to_stop)
        signal.signal(signal.SIGUSR1, self._ask_for_checkpoint)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _ask_to_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stop = signal.Signals(number)

    def _ask_for_checkpoint(self, _number: int, _frame: FrameType | None) -> None:
        self.checkpoint = True
