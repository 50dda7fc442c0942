"""Signals set flags that the loop reads between steps, so that no step is interrupted."""

import signal
from types import FrameType

EXIT_CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}


class SignalFlags:
    """TERM and INT request a stop, USR1 requests a checkpoint, HUP is ignored.

    A closed terminal sends HUP, and training must outlive it.
    """

    def __init__(self) -> None:
        self.stop: signal.Signals | None = None
        """the signal that requested a stop, or None"""
        self.checkpoint = False
        """whether a checkpoint was requested; the reader that acts on it clears it"""
        self.loss = ""
        """what happened to the folder of the run, if that is why a stop was requested"""

    def install(self) -> None:
        """Install the handlers; only the main thread may."""
        signal.signal(signal.SIGTERM, self._request_stop)
        signal.signal(signal.SIGINT, self._request_stop)
        signal.signal(signal.SIGUSR1, self._request_checkpoint)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def stop_for_loss(self, loss: str) -> None:
        """Request a stop since the folder of the run was moved or deleted."""
        self.loss = loss
        self.stop = signal.SIGTERM

    def _request_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stop = signal.Signals(number)

    def _request_checkpoint(self, _number: int, _frame: FrameType | None) -> None:
        self.checkpoint = True
