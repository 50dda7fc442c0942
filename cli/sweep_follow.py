"""Train the runs of a sweep, one after another or one on each GPU, and follow those that are trained."""

import contextlib
import dataclasses
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cli.follow import event_line, progress_line, read_all, read_new
from cli.output.console import say
from cli.signals import signal_of
from cli.start import children, is_abandoned, resume_run, start_packed
from tmssl.config import Config
from tmssl.errors import InputError, TmsslError
from tmssl.runs.events import Segment
from tmssl.runs.folder import Run, folder_identity, holder, is_alive, what_is_gone
from tmssl.runs.history import History, state
from tmssl.runs.journal import Tail
from tmssl.runs.launch import last_log_line, signal_trainer, wait_until_released
from tmssl.system import started_environment
from tmssl.text import count, duration, safe

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

GPUS_VARIABLE = "CUDA_VISIBLE_DEVICES"
_POLL_S = 0.2
_PLAIN_S = 30.0  # seconds between lines of progress where no bar is drawn
_PATIENCE_S = 3600.0  # for a trainer that stops


@dataclasses.dataclass
class _Trained:
    """A run whose trainer works."""

    run: Run
    gpus: tuple[str, ...]
    history: History
    tail: Tail
    seen: str
    from_epoch: float
    task: "TaskID | None" = None

    def has_ended(self) -> bool:
        """Whether its trainer is gone and its journal read to the end."""
        alive = is_alive(self.run)
        for line in read_new(self.history, self.tail):
            say(f"{safe(self.run.name, 60)}: {line}")
        gone = what_is_gone(self.run, had_journal=bool(self.history.segments), seen=self.seen)
        return bool(gone) or (not alive and not self.tail.behind)


class Sweeper:
    """Begins runs while there are free GPUs, and follows them until all have ended."""

    def __init__(
        self, folder: Path, configs: dict[str, Config], gpus: list[str], cores: float
    ) -> None:
        """What is to be trained.

        Args:
            folder: of the runs.
            configs: settings of each run that is not finished, with its pack, by its name.
            gpus: ids of the GPUs, each for one run at a time; one empty id where there is at most one.
            cores: usable ones, which the runs share.
        """
        self.failed: list[str] = []
        """names of runs that failed, in order"""
        self._folder = folder
        self._waiting = dict(configs)
        self._epochs = {name: config.train.epochs for name, config in configs.items()}
        self._free = list(gpus)
        self._several = len(gpus) > 1
        self._threads = {"OMP_NUM_THREADS": str(max(1, int(cores / len(gpus))))}
        self._trained: list[_Trained] = []
        self._begun_at = time.monotonic()
        self._epochs_done = 0.0  # by runs that have ended in this process

    def train_all(self) -> None:
        """Train until every run has ended.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM; trainers go on until `stop`.
        """
        self._adopt()
        with self._progress() as progress:
            told = time.monotonic()
            while self._waiting or self._trained:
                while self._begin_next():
                    pass
                for trained in [trained for trained in self._trained if trained.has_ended()]:
                    self._end(trained, progress)
                if progress is not None:
                    self._draw(progress)
                elif time.monotonic() - told > _PLAIN_S:
                    told = time.monotonic()
                    say(self._line())
                time.sleep(_POLL_S)

    def stop(self, interrupt: KeyboardInterrupt) -> int:
        """Stop the trainers, each with a checkpoint, and return the exit code; a second Ctrl-C leaves at once."""
        number = signal_of(interrupt)
        running = [run for run in map(self._run, self._epochs) if is_alive(run)]
        if running:
            say(
                f"stopping {count(len(running), 'trainer')} after this step, with a checkpoint (press "
                "Ctrl-C again to leave without waiting)"
            )
        with contextlib.suppress(KeyboardInterrupt):
            for run in running:
                with contextlib.suppress(InputError):  # it has just ended
                    # A trainer ignores SIGHUP, as it outlives terminals.
                    signal_trainer(run, signal.SIGTERM if number == signal.SIGHUP else number)
            for run in running:
                wait_until_released(run, _PATIENCE_S)
        return 128 + number

    def _run(self, name: str) -> Run:
        """The run of a name."""
        return Run(self._folder / name)

    def _adopt(self) -> None:
        """Follow the runs that are being trained already, as after this command was killed."""
        for name in [name for name in self._waiting if is_alive(self._run(name))]:
            run = self._run(name)
            gpus = tuple(gpu for gpu in gpus_of(run) if gpu in self._free)
            gpus = gpus or tuple(self._free[: self._waiting[name].train.gpus])
            say(f"{safe(name)}: is being trained already")
            self._follow(name, gpus, begun=False)

    def _begin_next(self) -> bool:
        """Start or resume the first run that waits, if there are GPUs for it; whether one was taken."""
        if not self._waiting:
            return False
        name, config = next(iter(self._waiting.items()))
        wanted = config.train.gpus if self._several else 1
        if len(self._free) < wanted and self._trained:
            return False
        gpus = tuple(self._free[:wanted])
        say(f"{safe(name)}: run {self._position(name)}")
        environment = {GPUS_VARIABLE: ",".join(gpus), **self._threads} if self._several else {}
        try:
            self._start(name, config, environment)
        except TmsslError as error:
            self._fail(name, str(error))
            del self._waiting[name]
        else:
            self._follow(name, gpus, begun=True)
        return True

    def _start(self, name: str, config: Config, environment: dict[str, str]) -> None:
        """Start a run, or resume it where it has been trained before."""
        run = self._run(name)
        if run.path.exists() and not is_abandoned(run):
            resume_run(run, {}, environment=environment)
        else:
            start_packed(config, self._folder, name, environment)

    def _follow(self, name: str, gpus: tuple[str, ...], *, begun: bool) -> None:
        """Follow a run from what its journal holds by now; say what its newest segment has said if `begun`."""
        run, history = self._run(name), History()
        tail = Tail(run.journal)
        events = read_all(tail)
        history.add(events)
        segments = [at for at, event in enumerate(events) if isinstance(event, Segment)]
        for event in events[segments[-1] :] if begun and segments else []:
            if line := event_line(event):
                say(f"{safe(name, 60)}: {line}")
        del self._waiting[name]
        self._free = [gpu for gpu in self._free if gpu not in gpus]
        seen, epoch = folder_identity(run), history.epoch
        self._trained.append(_Trained(run, gpus, history, tail, seen, epoch))

    def _end(self, trained: _Trained, progress: "Progress | None") -> None:
        """Say how a run has ended and free its GPUs."""
        self._trained.remove(trained)
        self._free = sorted([*self._free, *trained.gpus])
        self._epochs_done += trained.history.epoch - trained.from_epoch
        if progress is not None and trained.task is not None:
            progress.remove_task(trained.task)
        run, history = trained.run, trained.history
        outcome = state(history, alive=False)
        if outcome in ("finished", "stopped"):
            say(f"{safe(run.name, 60)}: {outcome} at epoch {history.epoch:.4g}")
        elif outcome == "failed" and history.end is not None:
            self._fail(run.name, f"failed: {safe(history.end.reason)}; see {safe(run.log)}")
        else:
            child = children.get(run.path)
            how = (child and child.end_words()) or last_log_line(run.log)
            self._fail(run.name, f"its trainer vanished at epoch {history.epoch:.2f} ({how})")

    def _fail(self, name: str, words: str) -> None:
        """Say that a run failed; the others are trained."""
        self.failed.append(name)
        say(f"{safe(name, 60)}: {words}")

    def _position(self, name: str) -> str:
        """`2 of 6`, of those that were to be trained."""
        return f"{list(self._epochs).index(name) + 1} of {len(self._epochs)}"

    def _seconds_left(self) -> float | None:
        """Seconds to the end of the sweep at the pace so far; None before that is known."""
        done = self._epochs_done + sum(t.history.epoch - t.from_epoch for t in self._trained)
        left = float(sum(self._epochs[name] for name in self._waiting))
        left += sum(max(0.0, self._epochs[t.run.name] - t.history.epoch) for t in self._trained)
        return (time.monotonic() - self._begun_at) / done * left if done > 0 else None

    def _line(self) -> str:
        """`2/6 runs, ETA 12m; lr-0.1 epoch 3.20/10: loss 4.79 ...`."""
        ended = len(self._epochs) - len(self._waiting) - len(self._trained)
        parts = [f"{ended}/{len(self._epochs)} runs, ETA {duration(self._seconds_left())}"]
        for trained in self._trained:
            name = trained.run.name
            epoch = f"{trained.history.epoch:.2f}/{self._epochs[name]}"
            parts.append(f"{safe(name, 60)} epoch {epoch}: {progress_line(trained.history)}")
        return "; ".join(parts)

    @contextlib.contextmanager
    def _progress(self) -> Iterator["Progress | None"]:
        """A bar for each run that is trained, on a terminal; None elsewhere."""
        if not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = [
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=16),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[line]}"),
        ]
        console = Console(stderr=True)
        with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
            self._whole = progress.add_task("sweep", total=1, name="sweep", line="")
            yield progress

    def _draw(self, progress: "Progress") -> None:
        """Show how far each run and the sweep are."""
        for trained in self._trained:
            name, history = trained.run.name, trained.history
            if trained.task is None:
                trained.task = progress.add_task(name, name=safe(name, 30), line="")
            views = history.caching
            progress.update(
                trained.task,
                total=views.total if views else max(1, history.total_steps),
                completed=views.done if views else history.step,
                line=progress_line(history),
            )
        ended = len(self._epochs) - len(self._waiting) - len(self._trained)
        progress.update(
            self._whole,
            total=len(self._epochs),
            completed=ended,
            line=f"{ended}/{len(self._epochs)} runs, ETA {duration(self._seconds_left())}",
        )


def gpus_of(run: Run) -> tuple[str, ...]:
    """The GPUs that the trainer of a run was given by `CUDA_VISIBLE_DEVICES`; empty where that is unknown."""
    trainer = holder(run)
    if trainer is None or not trainer.pid:
        return ()
    given = started_environment(trainer.pid).get(GPUS_VARIABLE)
    return tuple(given.split(",")) if given is not None else ()
