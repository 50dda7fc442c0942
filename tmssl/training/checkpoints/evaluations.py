"""Evaluations while training goes on: child processes score checkpoints, and the best is kept as `best`.

The trainer never searches. A child loads the checkpoint, which has a second name so that no later one
replaces it, and appends an `eval` event to the journal, where the trainer reads it.
"""

import os
import subprocess
import time
from pathlib import Path
from typing import BinaryIO

from tmssl.children import python_module
from tmssl.claims import CLAIMED_VARIABLE, identity
from tmssl.doctor.machine import memory_kills
from tmssl.files import open_to_append
from tmssl.runs.checkpoints import FOR_EVALUATION, find_sidecar
from tmssl.runs.events import Eval, Event, Finding
from tmssl.runs.folder import Run
from tmssl.runs.journal import Tail
from tmssl.runs.launch import killed_words, last_log_line
from tmssl.runs.main_figure import BEST_BY, Judgement, judge
from tmssl.training.checkpoints.store import link_checkpoint

_RETRY_S = 10.0  # between tries to keep the best checkpoint on a full disk


def evaluation_name(epoch: int) -> str:
    """The name under which an epoch's checkpoint waits for its evaluation."""
    return f"{FOR_EVALUATION}{epoch:04d}"


def _environment(run: Run) -> dict[str, str]:
    """The environment of a child, which has all cores where each of several ranks has its part."""
    claim = {CLAIMED_VARIABLE: identity(run.at or run.path)}  # the child refuses another folder
    several = "WORLD_SIZE" in os.environ  # torchrun sets it
    kept = {k: v for k, v in os.environ.items() if not (several and k == "OMP_NUM_THREADS")}
    return kept | claim


class Evaluations:
    """Runs one child at a time; of the checkpoints that wait meanwhile only the newest is evaluated."""

    def __init__(self, run: Run, *, every: int, best_by: str) -> None:
        self.best: Judgement | None = None
        """the best evaluation so far; None while the loss decides"""
        self.unkept = ""
        """the checkpoint that was found best while the disk refused it the name `best`; else empty"""
        self._run = run
        self._every = every
        self._best_by = best_by
        self._tail = Tail(run.journal)
        self._child: subprocess.Popen[bytes] | None = None
        self._memory_kills = 0  # that the kernel had counted when the child began
        self._running = ""  # name of the checkpoint that the child evaluates
        self._next = ""
        self._events: list[Event] = []  # for the next poll
        self._warned = False
        self._retry_at = 0.0

    def due(self, epoch: int, *, last: bool) -> bool:
        """Whether the checkpoint of an epoch is to be evaluated."""
        return bool(self._every) and (last or epoch % self._every == 0)

    @property
    def busy(self) -> bool:
        """Whether an evaluation runs or waits."""
        return self._child is not None or bool(self._next)

    def resume(self, step: int) -> None:
        """Take over what earlier segments evaluated up to `step`, and begin what they left.

        `best` becomes the figure, under the present metric, of the checkpoint that is kept as best;
        where this run never evaluated that one, the loss decides.
        """
        if not self._every:
            return
        evaluated = {event.step: event for event in self._read_evals()}
        best_step = self._step_of("best")
        if best_step in evaluated:
            self.best = judge(evaluated[best_step], self._best_by)
        for path in sorted(self._run.checkpoints.glob(f"{FOR_EVALUATION}*.pt")):
            own_step = self._step_of(path.stem)
            if own_step is None or own_step > step:
                self._remove(path.stem)
            elif own_step in evaluated:  # there was no room then to keep it as best
                self._compare(evaluated[own_step], path.stem)
            else:
                self.begin(path.stem)

    def begin(self, name: str) -> None:
        """Evaluate the checkpoint of this name, which is on the disk, as soon as no other is running."""
        if self._child is not None:
            if self._next:
                self._remove(self._next)
            self._next = name
            return
        self._running, self._memory_kills = name, memory_kills()
        path = self._run.path / "checkpoints" / f"{name}.pt"
        try:
            with self._open_log() as log:
                self._child = subprocess.Popen(
                    python_module("tmssl.retrieval", str(self._run.path), str(path)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=_environment(self._run),
                )
        except OSError as error:  # no process, or no memory for one
            self._add_failure(name, f"could not begin: {error.strerror or error}")
            self._remove(name)

    def poll(self) -> list[Event]:
        """The evaluations that have ended since the previous poll, and findings where they matter."""
        if self.unkept and time.monotonic() > self._retry_at:
            self._keep_best(self.unkept)
        if self._child is not None and self._child.poll() is not None:
            self._finish(self._child.returncode, self._running)
        events, self._events = self._events, []
        return events

    def _finish(self, code: int, name: str) -> None:
        """Take in what a child that has ended wrote into the journal, and begin the next evaluation."""
        self._child = None
        evals = [event for event in self._read_evals() if Path(event.checkpoint).stem == name]
        if not evals:
            killed = killed_words(code)
            memory = ", for memory as the kernel says" * (memory_kills() > self._memory_kills)
            how = f"ended early: {killed}{memory}" if killed else f"ended with code {code}"
            self._add_failure(name, f"{how}: {last_log_line(self._log)}")
            self._remove(name)
        for event in evals:
            self._events.append(event)
            self._compare(event, name)
        if self._next:
            name, self._next = self._next, ""
            self.begin(name)

    def _compare(self, event: Eval, name: str) -> None:
        """Keep a checkpoint as `best` if its evaluation is the best so far, and remove its second name."""
        result = judge(event, self._best_by)
        if result is None and self._best_by in BEST_BY and not self._warned:
            self._warned = True
            self._add(
                "best-by-missing",
                "warning",
                f"evaluations have no figure '{self._best_by}' here, so the loss chooses the best "
                "checkpoint",
                "go on with `tmssl train --resume --best-by auto`, or give marks the labels it needs",
            )
        if result is not None and (self.best is None or result.value > self.best.value):
            previous = f"before: {self.best}" if self.best else "kept as checkpoints/best.pt"
            self._add("best", "good", f"best so far: {result}", previous)
            self.best = result
            self._keep_best(name)
        elif name != self.unkept:
            self._remove(name)

    def _keep_best(self, name: str) -> None:
        """Link a checkpoint as `best`, and remove its second name; a full disk leaves that for later."""
        previous, self.unkept = self.unkept, ""
        try:
            link_checkpoint(self._run.checkpoints, name, "best")
        except OSError as error:
            self.unkept, self._retry_at = name, time.monotonic() + _RETRY_S
            if previous != name:
                reason = error.strerror or error
                self._add(
                    "checkpoint-failed",
                    "bad",
                    f"{name} is the best so far and could not be kept as best: {reason}",
                    "free disk space now; it is tried again",
                )
        else:
            self._remove(name)
        if previous and previous != name:
            self._remove(previous)

    def _add(self, code: str, level: str, text: str, advice: str) -> None:
        """Let the next poll return a finding."""
        self._events.append(Finding(code=code, level=level, text=text, advice=advice))

    def _add_failure(self, name: str, failure: str) -> None:
        """The finding that an evaluation has no result."""
        self._add(
            "evaluation-failed",
            "warning",
            f"the evaluation of {name} {failure}",
            "training goes on; eval/evaluations.log says more",
        )

    @property
    def _log(self) -> Path:
        return self._run.eval / "evaluations.log"

    def _open_log(self) -> BinaryIO:
        """The log of the children; /dev/null where a full disk has no room for it."""
        try:
            return os.fdopen(open_to_append(self._log), "ab")
        except OSError:
            return Path(os.devnull).open("ab")

    def _read_evals(self) -> list[Eval]:
        """Evaluations of checkpoints kept for it that the journal has got since the previous call."""
        events: list[Event] = []
        while self._tail.behind:
            events += self._tail.poll()[0]
        evals = [event for event in events if isinstance(event, Eval)]
        return [e for e in evals if Path(e.checkpoint).name.startswith(FOR_EVALUATION)]

    def _step_of(self, name: str) -> int | None:
        """The step of a checkpoint by its sidecar, None without one."""
        sidecar = find_sidecar(self._run.checkpoints, name)
        return None if sidecar is None else sidecar.step

    def _remove(self, name: str) -> None:
        """Remove the second name of a checkpoint."""
        for suffix in ("pt", "json"):
            (self._run.checkpoints / f"{name}.{suffix}").unlink(missing_ok=True)
