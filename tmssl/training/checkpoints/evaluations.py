"""Evaluations while training goes on: children that score kept checkpoints, and the best by their figures.

The trainer never searches: a child of its own loads the checkpoint, which has a second name so that no
later one takes its place, and appends an `eval` event to the journal. The trainer reads it there.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import BinaryIO

from tmssl.runs.checkpoints import FOR_EVALUATION, find_sidecar
from tmssl.runs.events import Eval, Event, Finding
from tmssl.runs.folder import Run
from tmssl.runs.journal import Tail
from tmssl.runs.launch import last_log_line
from tmssl.runs.main_figure import FIGURES, Judgement, judged
from tmssl.training.checkpoints.store import link_checkpoint

_RETRY_S = 10.0  # between tries to keep the best checkpoint on a full disk


def kept_for_evaluation(epoch: int) -> str:
    """The name under which an epoch's checkpoint waits for its evaluation."""
    return f"{FOR_EVALUATION}{epoch:04d}"


class Evaluations:
    """One child at a time; what came meanwhile waits, and a newer checkpoint takes an older one's turn."""

    def __init__(self, run: Run, *, every: int, best_by: str) -> None:
        self.best: Judgement | None = None
        """the best evaluation so far, or None while the loss decides"""
        self._run = run
        self._every = every
        self._best_by = best_by
        self._tail = Tail(run.journal)
        self._child: subprocess.Popen[bytes] | None = None
        self._name = ""
        self._waiting = ""
        self._told_missing = False
        self._untold: list[Finding] = []
        self._unkept = ""  # evaluated best, and refused that name by the disk
        self._retry_at = 0.0

    def due(self, epoch: int, *, last: bool) -> bool:
        """Whether the checkpoint of an epoch is to be evaluated."""
        return bool(self._every) and (last or epoch % self._every == 0)

    @property
    def busy(self) -> bool:
        """Whether an evaluation is running or waits."""
        return self._child is not None or bool(self._waiting)

    @property
    def unkept(self) -> str:
        """The checkpoint that was found best and that the disk refused that name, or nothing."""
        return self._unkept

    def resume(self, step: int) -> None:
        """Take up what earlier lives evaluated up to `step`, and what they left unevaluated.

        `best` is the figure of the checkpoint that is kept as best, under the metric of now; one that
        was evaluated in no life of this run leaves it to the loss.
        """
        if not self._every:
            return
        own = self._news()
        kept = self._step_of("best")
        for event in own:
            if event.step == kept:
                self.best = judged(event, self._best_by)
        done = {event.step: event for event in own}
        for path in sorted(self._run.checkpoints.glob(f"{FOR_EVALUATION}*.pt")):
            found = self._step_of(path.stem)
            if found is None or found > step:
                self._forget(path.stem)
            elif found in done:  # an earlier life had no room to keep it as best
                self._compare(done[found], path.stem)
                if self._unkept != path.stem:
                    self._forget(path.stem)
            else:
                self.begin(path.stem)

    def begin_if_kept(self, name: str) -> None:
        """Evaluate the checkpoint that a save has just put on the disk under this name, if it is for that."""
        if name.startswith(FOR_EVALUATION):
            self.begin(name)

    def begin(self, name: str) -> None:
        """Evaluate the checkpoint of this name, which is on the disk, as soon as no other is under way."""
        if self._child is not None:
            if self._waiting:
                self._forget(self._waiting)
            self._waiting = name
            return
        self._name = name
        path = self._run.checkpoints / f"{name}.pt"
        try:
            with self._log_file() as log:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", "tmssl.retrieval", str(self._run.path), str(path)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env={
                        key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"
                    },
                )
        except OSError as error:  # no process or no memory for one
            self._untold.append(_failed(name, f"could not begin: {error.strerror or error}"))
            self._forget(name)

    def poll(self) -> list[Event]:
        """What an evaluation that has ended brought: its event, and a finding when it matters.

        A checkpoint that is the best so far becomes `best`, later if the disk refuses it now.
        """
        if self._unkept and time.monotonic() > self._retry_at:
            self._keep_best(self._unkept)
        told: list[Event] = [*self._untold]
        self._untold = []
        if self._child is None or self._child.poll() is None:
            return told
        code, name = self._child.returncode, self._name
        self._child = None
        own = [event for event in self._news() if Path(event.checkpoint).stem == name]
        if not own:
            said = f"ended with code {code}: {last_log_line(self._log)}"
            told.append(_failed(name, said))
        for event in own:
            self._compare(event, name)
        if name != self._unkept:
            self._forget(name)
        if self._waiting:
            name, self._waiting = self._waiting, ""
            self.begin(name)
        told += [*own, *self._untold]
        self._untold = []
        return told

    def _compare(self, event: Eval, name: str) -> None:
        """Let a checkpoint that an evaluation finds the best so far become `best`."""
        found = judged(event, self._best_by)
        if found is None and self._best_by in FIGURES and not self._told_missing:
            self._untold.append(_missing(self._best_by))
            self._told_missing = True
        if found is not None and (self.best is None or found.value > self.best.value):
            self._untold.append(_new_best(found, self.best))
            self.best = found
            self._keep_best(name)

    def _keep_best(self, name: str) -> None:
        """Give a checkpoint the name `best`, or remember to try again."""
        before, self._unkept = self._unkept, ""
        try:
            link_checkpoint(self._run.checkpoints, name, "best")
        except OSError as error:
            self._unkept, self._retry_at = name, time.monotonic() + _RETRY_S
            if before != name:
                self._untold.append(_not_kept(name, error))
        if before and before != self._unkept:
            self._forget(before)

    @property
    def _log(self) -> Path:
        return self._run.eval / "evaluations.log"

    def _log_file(self) -> BinaryIO:
        """The log, opened for a child's words; a full disk takes none, which must not matter."""
        try:
            return self._log.open("ab")
        except OSError:
            return Path(os.devnull).open("ab")

    def _news(self) -> list[Eval]:
        """Evaluations of kept checkpoints that the journal has got since the last look."""
        events: list[Eval] = []
        while self._tail.behind:
            told = [event for event in self._tail.poll()[0] if isinstance(event, Eval)]
            events += [e for e in told if Path(e.checkpoint).name.startswith(FOR_EVALUATION)]
        return events

    def _step_of(self, name: str) -> int | None:
        """The step of a checkpoint by its sidecar, None without one."""
        sidecar = find_sidecar(self._run.checkpoints, name)
        return None if sidecar is None else sidecar.step

    def _forget(self, name: str) -> None:
        """Remove the second name of a checkpoint that has been evaluated."""
        for suffix in ("pt", "json"):
            (self._run.checkpoints / f"{name}.{suffix}").unlink(missing_ok=True)


def _failed(name: str, said: str) -> Finding:
    """The finding that an evaluation brought nothing."""
    return Finding(
        code="evaluation-failed",
        level="warning",
        text=f"the evaluation of {name} {said}",
        advice="training goes on; eval/evaluations.log says more",
    )


def _not_kept(name: str, error: OSError) -> Finding:
    """The finding that the disk has no room for the name `best`."""
    return Finding(
        code="checkpoint-failed",
        level="bad",
        text=f"{name} is the best so far and could not be kept as best: {error.strerror or error}",
        advice="free disk space now; it is tried again",
    )


def _missing(best_by: str) -> Finding:
    """The finding that the labels do not allow the figure that was asked for."""
    return Finding(
        code="best-by-missing",
        level="warning",
        text=f"evaluations have no figure '{best_by}' here, so the loss chooses the best checkpoint",
        advice="go on with `tmssl train --resume --best-by auto`, or give marks the labels it needs",
    )


def _new_best(found: Judgement, before: Judgement | None) -> Finding:
    """The finding that a checkpoint is the best so far."""
    return Finding(
        code="best",
        level="good",
        text=f"best so far: {found}",
        advice=f"before: {before}" if before else "kept as checkpoints/best.pt",
    )
