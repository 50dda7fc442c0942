"""Evaluations while training goes on: children that score kept checkpoints, and the best by their figures.

The trainer never searches: a child of its own loads the checkpoint, which has a second name so that no
later one takes its place, and appends an `eval` event to the journal. The trainer reads it there.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tmssl.runs.best import FIGURES, Judgement, judged
from tmssl.runs.events import Eval, Event, Finding
from tmssl.runs.folder import Run
from tmssl.runs.journal import Tail
from tmssl.runs.launch import last_log_line
from tmssl.training.checkpoint import link_checkpoint

_PREFIX = "eval-"  # checkpoints kept for an evaluation alone


def kept_for_evaluation(epoch: int) -> str:
    """The name under which an epoch's checkpoint waits for its evaluation."""
    return f"{_PREFIX}{epoch:04d}"


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

    def due(self, epoch: int, *, last: bool) -> bool:
        """Whether the checkpoint of an epoch is to be evaluated."""
        return bool(self._every) and (last or epoch % self._every == 0)

    @property
    def busy(self) -> bool:
        """Whether an evaluation is running or waits."""
        return self._child is not None or bool(self._waiting)

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
        done = {event.step for event in own}
        for path in sorted(self._run.checkpoints.glob(f"{_PREFIX}*.pt")):
            found = self._step_of(path.stem)
            if found is None or found in done or found > step:
                self._forget(path.stem)
            else:
                self.begin(path.stem)

    def begin_if_kept(self, name: str) -> None:
        """Evaluate the checkpoint that a save has just put on the disk under this name, if it is for that."""
        if name.startswith(_PREFIX):
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
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tmssl.retrieval", str(self._run.path), str(path)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"},
            )  # fmt: skip

    def poll(self) -> list[Event]:
        """What an evaluation that has ended brought: its event, and a finding when it matters.

        A checkpoint that is the best so far becomes `best`.

        Raises:
            OSError: it cannot be given that name; the disk is full or gone.
        """
        if self._child is None or self._child.poll() is None:
            return []
        code, name = self._child.returncode, self._name
        self._child = None
        own = [event for event in self._news() if Path(event.checkpoint).stem == name]
        told: list[Event] = [*own]
        if not own:
            told.append(self._failed(name, code))
        for event in own:
            found = judged(event, self._best_by)
            if found is None and self._best_by in FIGURES and not self._told_missing:
                told.append(_missing(self._best_by))
                self._told_missing = True
            if found is not None and (self.best is None or found.value > self.best.value):
                link_checkpoint(self._run.checkpoints, name, "best")
                told.append(_new_best(found, self.best))
                self.best = found
        self._forget(name)
        if self._waiting:
            name, self._waiting = self._waiting, ""
            self.begin(name)
        return told

    @property
    def _log(self) -> Path:
        return self._run.eval / "evaluations.log"

    def _news(self) -> list[Eval]:
        """Evaluations of kept checkpoints that the journal has got since the last look."""
        events: list[Eval] = []
        while self._tail.behind:
            told = [event for event in self._tail.poll()[0] if isinstance(event, Eval)]
            events += [e for e in told if Path(e.checkpoint).name.startswith(_PREFIX)]
        return events

    def _step_of(self, name: str) -> int | None:
        """The step of a checkpoint by its sidecar, None without one."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads((self._run.checkpoints / f"{name}.json").read_text("utf-8"))
            return int(told["step"])
        return None

    def _forget(self, name: str) -> None:
        """Remove the second name of a checkpoint that has been evaluated."""
        for suffix in ("pt", "json"):
            (self._run.checkpoints / f"{name}.{suffix}").unlink(missing_ok=True)

    def _failed(self, name: str, code: int) -> Finding:
        """The finding that an evaluation brought nothing."""
        return Finding(
            code="evaluation-failed", level="warning",
            text=f"the evaluation of {name} ended with code {code}: {last_log_line(self._log)}",
            advice=f"training goes on; eval/{self._log.name} says more",
        )  # fmt: skip


def _missing(best_by: str) -> Finding:
    """The finding that the labels do not allow the figure that was asked for."""
    return Finding(
        code="best-by-missing", level="warning",
        text=f"evaluations have no figure '{best_by}' here, so the loss chooses the best checkpoint",
        advice="go on with `tmssl train --resume --best-by auto`, or give marks the labels it needs",
    )  # fmt: skip


def _new_best(found: Judgement, before: Judgement | None) -> Finding:
    """The finding that a checkpoint is the best so far."""
    return Finding(
        code="best", level="good", text=f"best so far: {found}",
        advice=f"before: {before}" if before else "kept as checkpoints/best.pt",
    )  # fmt: skip
