"""Checkpoints written by a thread while training goes on, and what a full disk refused of them."""

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tmssl.runs.checkpoints import FOR_EVALUATION
from tmssl.text import safe
from tmssl.training.checkpoints.store import Written, save_beside, save_checkpoint

_MOST_OWED = 4  # refused checkpoints that are held in memory for the names they were to have


@dataclasses.dataclass(frozen=True)
class Asked:
    """A checkpoint to be written; nobody changes its payload any more."""

    payload: dict[str, Any]
    reason: str
    best: bool = False
    keep_as: tuple[str, ...] = ()
    """names beside `last` and `best`, such as `epoch-0010`"""
    stall_s: float = 0.0
    """how long training stood still for it"""


@dataclasses.dataclass(frozen=True)
class Saved:
    """How a save went."""

    asked: Asked | None
    """None where only names of earlier checkpoints were tried again"""
    written: Written | None
    """None when it failed"""
    problem: str
    """why it, or a name, was refused; else empty"""
    caught_up: tuple[str, ...] = ()
    """names that earlier checkpoints were refused and have got by now"""
    given_up: tuple[str, ...] = ()
    """names of checkpoints that waited in memory and made room for newer ones there"""

    @property
    def kept(self) -> tuple[str, ...]:
        """Names that checkpoints have got, this one's and those of earlier ones."""
        own: set[str] = set()
        if self.asked is not None and self.written is not None:
            own = set(self.asked.keep_as) - set(self.written.refused)
        return (*sorted(own), *self.caught_up)


class Saver:
    """One checkpoint at a time is on its way; asking for another waits for the one before.

    Of a refused one the weights stay in memory for the names that later ones do not take over, and
    are written once the disk takes them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[Saved] | None = None
        # Only the thread changes these, and others look when it has nothing to do.
        self._refused: Asked | None = None
        self._owed: dict[str, dict[str, Any]] = {}

    @property
    def unsaved(self) -> bool:
        """Whether the newest checkpoint was refused; to be asked when none is on its way."""
        return self._refused is not None

    @property
    def owed(self) -> tuple[str, ...]:
        """Names that refused checkpoints still wait for; to be asked when none is on its way."""
        return tuple(self._owed)

    def save(self, asked: Asked, begun: float) -> Saved | None:
        """Start writing a checkpoint; returns how the one before went.

        `begun` is the `time.perf_counter()` at which training began to wait.
        """
        finished = self.wait()
        stall_s = time.perf_counter() - begun
        self._pending = self._writer.submit(
            self._write, dataclasses.replace(asked, stall_s=stall_s)
        )
        return finished

    def retry(self) -> Saved:
        """Write once more what was refused, and wait for it; to be asked when none is on its way."""
        assert self._pending is None
        if self._refused is not None:
            return self._writer.submit(self._write, self._refused).result()
        caught_up, problem = self._writer.submit(self._catch_up).result()
        return Saved(None, None, problem, caught_up)

    def forgo(self, name: str) -> None:
        """Let no refused checkpoint have a name any more, which another one has got since."""
        self._owed.pop(name, None)

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

    def _write(self, asked: Asked) -> Saved:
        """Write in the thread; a full disk is a result, since training must go on."""
        names = [*(["best"] if asked.best else []), *asked.keep_as]
        try:
            written = save_checkpoint(
                self._folder, asked.payload, best=asked.best, keep_as=asked.keep_as
            )
        except OSError as error:
            self._refused = asked
            given_up = self._owe(asked.payload, names)
            return Saved(asked, None, safe(error.strerror or error), given_up=given_up)
        self._refused = None
        for name in names:
            self._owed.pop(name, None)
        given_up = self._owe(asked.payload, written.refused)
        caught_up, problem = self._catch_up()
        return Saved(asked, written, written.problem or problem, caught_up, given_up)

    def _owe(self, payload: dict[str, Any], names: Sequence[str]) -> tuple[str, ...]:
        """Keep a payload for the names that it was refused; returns those that others waited for in vain.

        Only the newest checkpoint that is to be evaluated waits, as only it would be evaluated.
        """
        for name in names:
            old = [n for n in self._owed if n == name or _both_evaluated(n, name)]
            for each in old:
                del self._owed[each]
            self._owed[name] = payload
        given_up = []
        while len({id(held) for held in self._owed.values()}) > _MOST_OWED:
            oldest = next(iter(self._owed))
            given_up.append(oldest)
            del self._owed[oldest]
        return tuple(given_up)

    def _catch_up(self) -> tuple[tuple[str, ...], str]:
        """Write what earlier checkpoints were refused; returns the names, and what stopped it."""
        caught_up: list[str] = []
        for name, payload in list(self._owed.items()):
            try:
                save_beside(self._folder, payload, name)
            except OSError as error:
                return tuple(caught_up), safe(error.strerror or error)
            self._owed.pop(name, None)
            caught_up.append(name)
        return tuple(caught_up), ""


def _both_evaluated(one: str, other: str) -> bool:
    """Whether both names are of checkpoints that wait for an evaluation."""
    return one.startswith(FOR_EVALUATION) and other.startswith(FOR_EVALUATION)
