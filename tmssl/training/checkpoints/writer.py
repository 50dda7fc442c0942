"""Checkpoints written by a thread while training goes on; what a full disk refuses waits in memory."""

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tmssl.runs.checkpoints import FOR_EVALUATION
from tmssl.text import safe
from tmssl.training.checkpoints.store import Written, save_beside, save_checkpoint

_MOST_PAYLOADS = 4  # refused checkpoints that wait in memory for their names


@dataclasses.dataclass(frozen=True)
class SaveRequest:
    """A checkpoint to write; nobody changes its payload any more."""

    payload: dict[str, Any]
    reason: str
    best: bool = False
    keep_as: tuple[str, ...] = ()
    """names beside `last` and `best`, such as `epoch-0010`"""
    stall_s: float = 0.0
    """how long training waited for it"""

    @property
    def names(self) -> tuple[str, ...]:
        """All names that it is to have beside `last`."""
        return ("best", *self.keep_as) if self.best else self.keep_as


@dataclasses.dataclass(frozen=True)
class SaveResult:
    """The outcome of a save."""

    request: SaveRequest | None
    """None where only names of earlier checkpoints were tried again"""
    written: Written | None
    """None when the disk refused it"""
    problem: str
    """why it, or one of its names, was refused; else empty"""
    caught_up: tuple[str, ...] = ()
    """names of earlier checkpoints that were refused then and are written now"""
    given_up: tuple[str, ...] = ()
    """names of earlier checkpoints that left memory unwritten, to make room for newer ones"""

    @property
    def new_names(self) -> tuple[str, ...]:
        """Names that are on the disk now: this checkpoint's, then those of earlier ones."""
        if self.request is None or self.written is None:
            return self.caught_up
        return (*sorted(set(self.request.keep_as) - set(self.written.refused)), *self.caught_up)


class CheckpointWriter:
    """Writes one checkpoint at a time; a second save waits for the first.

    The weights of a refused checkpoint stay in memory for the names that later checkpoints do not
    take over, and are written once the disk takes them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._future: Future[SaveResult] | None = None
        # Only the thread changes these; others read them while it is idle.
        self._refused: SaveRequest | None = None
        self._owed: dict[str, dict[str, Any]] = {}  # name to payload, oldest first

    @property
    def unsaved(self) -> bool:
        """Whether the newest checkpoint was refused; read it while no save is under way."""
        return self._refused is not None

    @property
    def owed(self) -> tuple[str, ...]:
        """Names that refused checkpoints still wait for; read it while no save is under way."""
        return tuple(self._owed)

    def save(self, request: SaveRequest, begun: float) -> SaveResult | None:
        """Start writing a checkpoint; returns the result of the previous save, if not yet returned.

        `begun` is the `time.perf_counter()` at which training began to wait.
        """
        previous = self.wait()
        request = dataclasses.replace(request, stall_s=time.perf_counter() - begun)
        self._future = self._thread.submit(self._write, request)
        return previous

    def retry(self) -> SaveResult:
        """Write again what was refused, and wait for it; call it while no save is under way."""
        assert self._future is None
        return self._thread.submit(self._write, self._refused).result()

    def forgo(self, name: str) -> None:
        """Let no refused checkpoint wait for a name that another has got since."""
        self._owed.pop(name, None)

    def poll(self) -> SaveResult | None:
        """The result of the save under way, once it is done."""
        return self.wait() if self._future is not None and self._future.done() else None

    def wait(self) -> SaveResult | None:
        """Wait for the save under way, if there is one, and return its result."""
        if self._future is None:
            return None
        result = self._future.result()
        self._future = None
        return result

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=True)

    def _write(self, request: SaveRequest | None) -> SaveResult:
        """Write a checkpoint, then what earlier ones were refused; runs in the thread.

        A full disk is a result and not an error, since training must go on.
        """
        if request is None:
            return SaveResult(None, None, *self._catch_up())
        try:
            written = save_checkpoint(
                self._folder, request.payload, best=request.best, keep_as=request.keep_as
            )
        except OSError as error:
            self._refused = request
            given_up = self._owe(request, request.names)
            return SaveResult(request, None, safe(error.strerror or error), given_up=given_up)
        self._refused = None
        given_up = self._owe(request, written.refused)
        problem, caught_up = self._catch_up()
        return SaveResult(request, written, written.problem or problem, caught_up, given_up)

    def _owe(self, request: SaveRequest, refused: Sequence[str]) -> tuple[str, ...]:
        """Keep a payload for the names it was refused; returns the names given up for it.

        Earlier checkpoints no longer wait for names that this one takes. Of checkpoints to be
        evaluated only the newest waits, as only that would be evaluated.
        """
        evaluated = any(name.startswith(FOR_EVALUATION) for name in request.names)
        for name in self.owed:
            if name in request.names or (evaluated and name.startswith(FOR_EVALUATION)):
                del self._owed[name]
        self._owed |= dict.fromkeys(refused, request.payload)
        given_up = []
        while len(set(map(id, self._owed.values()))) > _MOST_PAYLOADS:
            given_up.append(next(iter(self._owed)))
            del self._owed[given_up[-1]]
        return tuple(given_up)

    def _catch_up(self) -> tuple[str, tuple[str, ...]]:
        """Write what earlier checkpoints were refused; returns what stopped it, and the new names."""
        caught_up: list[str] = []
        for name, payload in list(self._owed.items()):
            try:
                save_beside(self._folder, payload, name)
            except OSError as error:
                return safe(error.strerror or error), tuple(caught_up)
            self._owed.pop(name, None)
            caught_up.append(name)
        return "", tuple(caught_up)
