"""A folder of runs, looked at again and again: only what has changed is opened, and quiet runs in turn.

A look at a thousand runs must leave the core to others, and a network disk alone. The names are read when the
folder says that it has changed; journal and lock of a run are opened when their sizes or times have.
"""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from tmssl.errors import JournalError, RunError
from tmssl.runs.eval_event import Eval, manner
from tmssl.runs.folder import Run, is_alive, is_run
from tmssl.runs.history import History
from tmssl.runs.journal import Tail, sample
from tmssl.runs.listing import Row, row_of
from tmssl.runs.main_figure import SPEAKING
from tmssl.text import safe

QUIET_S = 10.0
"""seconds in which each run is looked at once; those that train or have just changed, at every look"""
NAMES_S = 30.0
"""seconds after which the names are read again, whatever the folder says"""
_LIVELY_S = 60.0  # for which a run that has changed is looked at every time
_MOST_LIVELY = 200  # runs of a look
_COARSE_S = (
    2.5  # the times of some disks are that coarse: a folder that just changed may change unseen
)
_KEPT_STEPS = 64  # of a run, in memory; a row and its findings need only the last
_LARGE = 4 << 20  # bytes of a journal of which a sample is shown before all of it is read
_SLICE = 256 << 10  # bytes that are decoded at once, for which other threads wait
_SAMPLE_BLOCKS = 8
_REST_S = 1.0  # of a look for journals of which a sample is shown

_Stamp = tuple[int, int, int] | None


@dataclasses.dataclass
class _Known:
    """What is known of a run."""

    run: Run
    tail: Tail
    history: History = dataclasses.field(default_factory=History)
    stamps: tuple[_Stamp, ...] = ()
    """of its journal, lock and settings when they were read"""
    row: Row | None = None
    alive: bool = False
    is_sample: bool = False
    """whether the row comes from a part of the journal"""
    looked_at: float = -math.inf
    lively_until: float = -math.inf


class Scan:
    """The runs of a folder as rows."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder = folder
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._no_runs: dict[str, float] = {}  # other folders, and when they were first seen
        self._checked_at = self._listed_at = self._looked_at = -math.inf
        self._folder_stamp: _Stamp = None

    @property
    def names(self) -> frozenset[str]:
        """The runs that were there at the last look."""
        return frozenset(self._known)

    def look(self) -> Iterator[Row]:
        """The rows of new and changed runs, each as soon as it is read, the newest name first.

        Raises:
            RunError: the folder cannot be listed.
        """
        now = self._clock()
        self._find_runs(now)
        due = sorted(self._due(now), key=lambda known: known.run.name, reverse=True)
        self._looked_at = now
        for known in due:
            yield from self._look_at(known, now)
        for known in [known for known in self._known.values() if known.is_sample]:
            if self._clock() - now > _REST_S:
                return
            _read(known)
            yield from _changed_row(known)

    def _find_runs(self, now: float) -> None:
        """Find runs that are new, and forget those that are gone."""
        stamp = _stamp(str(self.folder))
        if stamp != self._folder_stamp or now - self._listed_at >= NAMES_S:
            names = _folders_in(self.folder)
            changed_s = time.time() - (stamp[2] / 1e9 if stamp else 0.0)
            self._folder_stamp = stamp if changed_s > _COARSE_S else None
            self._listed_at = now
            for name in [name for name in self._known if name not in names]:
                del self._known[name]
            new = names.difference(self._known, self._no_runs)
            self._no_runs = {n: at for n, at in self._no_runs.items() if n in names}
            self._no_runs.update(dict.fromkeys(new, now))
            self._admit(new)
        all_due = now - self._checked_at >= QUIET_S
        self._checked_at = now if all_due else self._checked_at
        self._admit(n for n, at in self._no_runs.items() if all_due or now - at < _LIVELY_S)

    def _admit(self, names: Iterable[str]) -> None:
        """Know those folders that are runs by now."""
        root = self.folder.resolve()
        for name in [name for name in names if is_run(root / name)]:
            run = Run(root / name)
            self._known[name] = _Known(run, Tail(run.journal))
            del self._no_runs[name]

    def _due(self, now: float) -> list[_Known]:
        """The runs to look at: new ones, those that train or have changed, and some of the others in turn."""
        lively: list[_Known] = []
        quiet: list[_Known] = []
        for known in self._known.values():
            is_lively = known.row is None or known.alive or now < known.lively_until
            (lively if is_lively else quiet).append(known)
        passed = min(1.0, (now - self._looked_at) / QUIET_S)
        share = math.ceil(passed * len(quiet))
        new = [known for known in lively if known.row is None]
        seen = [known for known in lively if known.row is not None]
        return [*new, *_longest_unseen(seen, _MOST_LIVELY), *_longest_unseen(quiet, share)]

    def _look_at(self, known: _Known, now: float) -> Iterator[Row]:
        """The row of a run, if it has changed."""
        path = known.run.path
        stamps = tuple(
            _stamp(f"{path}/{name}") for name in ("metrics.jsonl", "lock", "config.toml")
        )
        known.looked_at = now
        if stamps[0] is None and stamps[2] is None:
            self._known.pop(known.run.name, None)
            self._no_runs[known.run.name] = now
            return
        changed = stamps != known.stamps
        if not changed and not known.alive:
            return
        if changed:
            first, known.stamps = not known.stamps, stamps
            newest = max(stamp[2] for stamp in stamps if stamp) / 1e9
            if not first or time.time() - newest < _LIVELY_S:
                known.lively_until = now + _LIVELY_S
            if first and stamps[0] is not None and stamps[0][1] > _LARGE:
                known.history, known.is_sample = _sampled(known.run), True
            else:
                _read(known)
        known.alive = is_alive(known.run)
        yield from _changed_row(known)


def _longest_unseen(runs: list[_Known], count: int) -> list[_Known]:
    """So many runs, those whose last look is the longest ago."""
    if count >= len(runs):
        return runs
    return sorted(runs, key=lambda known: known.looked_at)[:count]


def _stamp(path: str) -> _Stamp:
    """What changes with a file or folder: inode, size, and time of the last change in nanoseconds."""
    try:
        status = os.lstat(
            path
        )  # a `Path` for each of a thousand runs would cost as much as the call
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _folders_in(folder: Path) -> set[str]:
    """The names of the folders in a folder, without links; none where it is missing.

    Raises:
        RunError: it cannot be listed.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except OSError as error:
        raise RunError(
            f"cannot list {safe(folder)}: {error.strerror}; make it readable, or choose another --runs"
        ) from error


def _changed_row(known: _Known) -> Iterator[Row]:
    """The row of a run, if it is another than before."""
    row = row_of(known.run, known.history, known.alive)
    if row != known.row:
        known.row = row
        yield row


def _read(known: _Known) -> None:
    """Read what the journal of a run has grown by, and keep what a row needs."""
    if known.is_sample:
        known.history, known.is_sample = History(), False
    while True:
        try:
            events, restarted = known.tail.poll(_SLICE)
        except JournalError:  # such as another user's file; the run is listed without figures
            return
        if restarted:
            known.history = History()
        known.history.add(events)
        _trim(known.history)
        if not known.tail.behind:
            return


def _sampled(run: Run) -> History:
    """The history of a long journal as far as a part of it tells, at once."""
    history = History()
    with contextlib.suppress(JournalError):
        history.add(sample(run.journal, _SAMPLE_BLOCKS))
    _trim(history)
    return history


def _trim(history: History) -> None:
    """Forget what no row needs: old steps and checkpoints, and most figures of old evaluations."""
    if len(history.steps) > _KEPT_STEPS:
        history.steps = history.steps[-_KEPT_STEPS:]
    del history.checkpoints[:-1]
    newest = {
        manner(event): at for at, event in enumerate(history.evals)
    }  # findings speak of these
    for at, event in enumerate(history.evals):
        if at not in newest.values():
            history.evals[at] = _slim(event)


def _slim(event: Eval) -> Eval:
    """An evaluation with the figures that a row compares, of hundreds."""
    scores = [score for score in event.scores if any(figure.is_of(score) for figure in SPEAKING)]
    if len(scores) == len(event.scores) and not event.divisions and not event.robustness:
        return event
    return msgspec.structs.replace(event, scores=scores, divisions=[], robustness=[])
