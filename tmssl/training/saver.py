"""Checkpoints written by a thread while training goes on."""

import dataclasses
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tmssl.text import safe
from tmssl.training.checkpoint import Written, save_checkpoint


@dataclasses.dataclass(frozen=True)
class Saved:
    """How a save went."""

    written: Written | None
    """None when it failed"""
    problem: str
    """why it failed, or empty"""
    reason: str
    best: bool
    keep_as: tuple[str, ...]
    stall_s: float
    """how long training stood still for it"""


class Saver:
    """One checkpoint at a time is on its way; asking for another waits for the one before."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[Saved] | None = None

    def save(
        self,
        payload: dict[str, Any],
        *,
        reason: str,
        best: bool,
        keep_as: tuple[str, ...],
        begun: float,
    ) -> Saved | None:
        """Start writing a payload that nobody changes any more; returns how the one before went.

        `begun` is the `time.perf_counter()` at which training began to wait.
        """
        finished = self.wait()
        stall_s = time.perf_counter() - begun
        self._pending = self._writer.submit(self._write, payload, reason, best, keep_as, stall_s)
        return finished

    def poll(self) -> Saved | None:
        """How the save on its way went, once it is done."""
        return self.wait() if self._pending is not None and self._pending.done() else None

    def wait(self) -> Saved | None:
        """Wait for the save on its way, if there is one."""
        if self._pending is None:
            return None
        saved = self._pending.result()
        self._pending = None
        return saved

    def close(self) -> None:
        """Let the writing thread end."""
        self._writer.shutdown(wait=True)

    def _write(
        self,
        payload: dict[str, Any],
        reason: str,
        best: bool,
        keep_as: tuple[str, ...],
        stall_s: float,
    ) -> Saved:
        """Write in the thread; a full disk is a result, since training must go on."""
        try:
            written = save_checkpoint(self._folder, payload, best=best, keep_as=keep_as)
        except OSError as error:
            return Saved(None, safe(error.strerror or error), reason, best, keep_as, stall_s)
        return Saved(written, "", reason, best, keep_as, stall_s)
