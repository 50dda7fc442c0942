"""The notices of a trainer: sent beside the training, and waited for once it has ended."""

import contextlib
import subprocess
import time
from collections.abc import Iterator

from tmssl.runs.events import End, Finding
from tmssl.runs.history import History
from tmssl.runs.notices.sending import LONGEST_S, send
from tmssl.runs.notices.words import end_notice, finding_notice
from tmssl.training.trainer_journal import write_stderr

_START_S = 5.0  # that a sender may take before its own clock runs


class Notices:
    """Tells one address of a run's bad findings and of its end; without an address it tells nothing."""

    def __init__(self, address: str, name: str) -> None:
        """Tell `address` of the run called `name`."""
        self._address, self._name = address, name
        self._senders: list[subprocess.Popen[bytes]] = []

    def tell(self, event: Finding | End, history: History) -> None:
        """Begin to send what is worth a message: a bad finding, or the end."""
        if not self._address:
            return
        if isinstance(event, End):
            self._senders.append(send(self._address, end_notice(self._name, history, event)))
        elif event.level == "bad":
            self._senders.append(send(self._address, finding_notice(self._name, history, event)))

    def failures(self) -> int:
        """How many notices did not arrive since this was asked last."""
        ended = [sender for sender in self._senders if sender.poll() is not None]
        self._senders = [sender for sender in self._senders if sender not in ended]
        return sum(sender.returncode != 0 for sender in ended)

    def wait(self) -> int:
        """Wait until every notice was sent or given up; returns how many did not arrive."""
        deadline = time.monotonic() + LONGEST_S + _START_S
        for sender in self._senders:
            with contextlib.suppress(subprocess.TimeoutExpired):
                sender.wait(max(0.0, deadline - time.monotonic()))
        return self.failures()


SILENT = Notices("", "")


@contextlib.contextmanager
def waited_for(notices: Notices) -> Iterator[None]:
    """Wait for the notices once the run is let go: a container may end with its trainer."""
    try:
        yield
    finally:
        if notices.wait():
            write_stderr("tmssl: the last notices of this run did not arrive")
