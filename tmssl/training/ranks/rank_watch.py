"""Processes that train together tell each other that they live, so that one that hangs is journaled.

A collective waits for a process that stands still (stopped, swapped out, on a machine that is gone) for half
an hour, and nobody who watches would see why.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

import torch.distributed as dist

from tmssl.errors import JournalError
from tmssl.runs.events import Finding
from tmssl.runs.folder import Run
from tmssl.runs.history import read_history
from tmssl.runs.journal import JournalWriter, read_journal
from tmssl.training.ranks.distributed import Ranks

_BEAT_S = 1.0
_SILENT_LOOKS = 10
"""looks without a change from which a process counts as silent; not seconds, as this one may stand still too"""
_STORE_PATIENCE = timedelta(seconds=5)

Tell = Callable[[int, bool], None]
"""takes the number of a process, and whether it answers"""


class Store(Protocol):
    """What is used of torch's stores of keys and values."""

    def set(self, key: str, value: str, /) -> None:
        """Set a value."""

    def get(self, key: str, /) -> bytes:
        """A value; waits for a key that is missing."""
        ...

    def check(self, keys: list[str], /) -> bool:
        """Whether there are values."""
        ...


class Watch:
    """The beats of one process, and its look at those of others."""

    def __init__(self, store: Store, rank: int, others: list[int], tell: Tell) -> None:
        self._store, self._rank, self._tell = store, rank, tell
        self._beats = 0
        self._seen = dict.fromkeys(others, b"")
        self._unchanged = dict.fromkeys(others, 0)

    def look(self) -> None:
        """Give a beat, and tell of each other process that has become silent, or answers again.

        Raises:
            RuntimeError: the store is gone, as at the end.
        """
        self._beats += 1
        self._store.set(str(self._rank), str(self._beats))
        for other, seen in self._seen.items():
            key = str(other)
            now = self._store.get(key) if self._store.check([key]) else b""
            was_silent = self._unchanged[other] >= _SILENT_LOOKS
            self._unchanged[other] = self._unchanged[other] + 1 if now == seen else 0
            self._seen[other] = now
            if self._unchanged[other] == _SILENT_LOOKS or (was_silent and now != seen):
                self._tell(other, now != seen)


@contextlib.contextmanager
def watched_ranks(run: Run, ranks: Ranks) -> Iterator[None]:
    """Journal it when another process no longer answers, and when it answers again.

    The first process watches the others, the second one the first.
    """
    if ranks.size == 1:
        yield
        return
    others = [0] if ranks.rank == 1 else list(range(1, ranks.size)) if ranks.is_first else []
    ended = threading.Event()

    def watch() -> None:
        with contextlib.suppress(RuntimeError):  # the store ends with the training
            store = _own_connection()
            watching = Watch(store, ranks.rank, others, lambda rank, ok: _journal(run, rank, ok))
            while not ended.wait(_BEAT_S):
                watching.look()

    thread = threading.Thread(target=watch, name="beats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(2 * _BEAT_S)


def _own_connection() -> Store:
    """A connection to the store of this training that no collective waits on."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(  # type: ignore[attr-defined]  # torch's stubs leave it out
        address, port, is_master=False, wait_for_workers=False, timeout=_STORE_PATIENCE
    )
    beats: Store = dist.PrefixStore("tmssl-beats", store)  # type: ignore[attr-defined]  # nor this
    return beats


def _journal(run: Run, rank: int, answers: bool) -> None:
    """Append the finding that a process no longer answers, or does again; a disk that refuses it stops nothing."""
    with contextlib.suppress(OSError, JournalError):
        history = read_history(read_journal(run.journal))
        silent_s = _SILENT_LOOKS * _BEAT_S
        text = f"process {rank} has not answered for {silent_s:.0f} s, and the others wait for it"
        finding = Finding(
            code="rank-answers" if answers else "rank-silent",
            level="good" if answers else "bad",
            step=history.step,
            epoch=history.epoch,
            text=f"process {rank} answers again" if answers else text,
            advice="training goes on"
            if answers
            else "look at its machine; stop the run and go on with `tmssl train --resume` if it does not come back",
            t=time.time(),
        )
        journal = JournalWriter(run.journal)
        journal.write(finding)
        journal.close()
