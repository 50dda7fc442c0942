"""The trainer's journal, which a full disk does not stop."""

import time
from collections import deque
from pathlib import Path

from tmssl.runs.events import Event, Finding, Step
from tmssl.runs.journal import JournalWriter

_MOST_HELD = 100_000  # events, some 50 MB; beyond it every second step is let go


class PatientJournal(JournalWriter):
    """Keeps in memory what the disk refuses, and writes it in order once there is space again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._held: deque[Event] = deque()
        self._since = 0.0
        self._why = ""

    def write(self, event: Event) -> None:
        """Append one event and whatever waits before it; on a full disk it waits too."""
        self._held.append(event)
        waited = len(self._held) - 1
        try:
            while self._held:
                super().write(self._held[0])
                self._held.popleft()
            if waited:
                super().write(self._told(waited, event))
        except OSError as error:
            self._since = self._since if waited else time.time()
            self._why = error.strerror or str(error)
            if len(self._held) > _MOST_HELD:
                self._held = deque(
                    e for i, e in enumerate(self._held) if i % 2 or not isinstance(e, Step)
                )

    def sync(self) -> None:
        """Wait until everything written is on the disk itself, if it takes it."""
        try:
            super().sync()
        except OSError as error:  # nobody is left to tell
            self._why = error.strerror or str(error)

    def _told(self, waited: int, event: Event) -> Finding:
        """The finding that events came late."""
        return Finding(
            code="journal-held", level="warning", step=getattr(event, "step", 0),
            epoch=float(getattr(event, "epoch", 0.0)),
            text=f"the disk refused the journal for {time.time() - self._since:.0f} s "
            f"({self._why}); {waited} events waited in memory and are written now",
            advice="keep disk space free: what waits in memory is lost with the process",
            t=time.time(),
        )  # fmt: skip
