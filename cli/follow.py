"""Follow a trainer from outside: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
import dataclasses
import signal
import subprocess
import sys
import time

from cli.output.console import say
from cli.signals import signal_of
from tmssl.doctor.machine import memory_kills
from tmssl.errors import TrainingError
from tmssl.runs.cost import cost, cost_words
from tmssl.runs.events import Checkpoint, Epoch, Eval, Event, Finding, Segment, Views
from tmssl.runs.folder import Run, folder_identity, is_alive, what_is_gone
from tmssl.runs.history import History, caching_text, state
from tmssl.runs.journal import Tail
from tmssl.runs.launch import (
    killed_words,
    last_log_line,
    signal_trainer,
    wait_until_released,
)
from tmssl.runs.main_figure import judge
from tmssl.runs.notices.sending import LONGEST_S, tell_of_death
from tmssl.text import duration, learning_rate, number, pasted, safe

_LEAST_GIB = 0.1  # below it, MiB are easier to read
_POLL_S = 0.2
_EXIT_S = 5.0  # a process that has let its lock go ends within it, on a busy machine too
_PLAIN_S = 30.0  # seconds between plain lines within an epoch


@dataclasses.dataclass(frozen=True)
class Child:
    """A trainer that this process has started."""

    process: subprocess.Popen[bytes]
    memory_kills: int
    """processes that the kernel had killed for memory before it began"""

    def end_words(self) -> str:
        """How it was killed, if it was; empty for any other end.

        A dying process lets its lock go before its exit status can be read, so this waits for it.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_EXIT_S)
        killed = killed_words(self.process.returncode)
        return killed and f"{killed}{self.memory_words()}"

    def wait_for_notices(self) -> None:
        """Wait for a trainer that has let its run go and still sends notices of its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(2 * LONGEST_S)

    def memory_words(self) -> str:
        """That the kernel has killed for memory since it began, and what to do; or nothing."""
        if memory_kills() <= self.memory_kills:
            return ""
        return (
            "; the kernel killed a process of this control group for memory: give the machine or container "
            "more, or train with a smaller --chunk-size"
        )


def progress_line(history: History) -> str:
    """`loss 4.79 (chance 5.55), lr 2.41e-04, 812 img/s, ETA 2h 07m`."""
    segment = history.segment
    if history.caching is not None:
        return caching_text(history.caching)
    last = history.steps[-1] if history.steps else None
    if segment is None or last is None:
        return "starting"
    parts = [
        f"loss {number(last.loss)} (chance {number(segment.chance)})",
        f"lr {learning_rate(last.lr)}",
    ]
    if last.img_s:
        parts.append(f"{number(last.img_s, 3)} img/s")
    parts.append(f"ETA {duration(history.seconds_left())}")
    money = cost(history)
    if money:
        parts.append(cost_words(money))
    return ", ".join(parts)


def event_line(event: Event) -> str | None:
    """The line to print for an event, or None."""
    match event:
        case Epoch():
            return (
                f"epoch {event.epoch}: loss {number(event.loss)}, cross-entropy {number(event.ce)}, "
                f"top-1 {number(event.top1, 3)}, lr {learning_rate(event.lr)}, {duration(event.seconds)}"
            )
        case Eval():
            return f"evaluated epoch {event.epoch:.4g}{_main_figure(event)}"
        case Views() if event.done == event.total:
            small = event.gib is not None and event.gib < _LEAST_GIB
            gib = event.gib or 0.0
            amount = f"{1024 * gib:.1f} MiB" if small else f"{number(event.gib, 3)} GiB"
            size = f"{amount} in {safe(event.path)}"
            if event.found == event.total:
                return f"{event.total:,} views are cached already: {size}"
            return f"cached {event.total:,} views in {duration(event.seconds)}: {size}"
        case Finding():
            advice = f" - {safe(event.advice)}" if event.advice else ""
            return f"{safe(event.level, 20)}: {safe(event.text)}{advice}"
        case Checkpoint(reason="stop" | "signal"):
            return f"checkpoint at step {event.step}: {safe(event.path)}"
        case _:
            return None


def _main_figure(event: Eval) -> str:
    """The main figure of an evaluation: by labels, or without any by augmented copies."""
    figure = judge(event, "auto") or judge(event, "invariance")
    if figure is None:
        return ""
    return f": {figure.name} {number(figure.value, 3)} (chance {number(figure.chance, 3)})"


def follow(run: Run, *, begun: bool, child: Child | None = None) -> int:
    """Show a run until its trainer ends; Ctrl-C or SIGTERM stops it gracefully. Returns the exit code.

    Args:
        run: the run.
        begun: whether its trainer was just started, so that its newest segment is news.
        child: its trainer, if this process has started it.

    Raises:
        TrainingError: the trainer failed or vanished.
    """
    history, tail, seen = History(), Tail(run.journal), folder_identity(run)
    try:
        events = read_all(tail)
        history.add(events)
        segments = [i for i, event in enumerate(events) if isinstance(event, Segment)]
        for line in _lines(events[segments[-1] :] if begun and segments else []):
            say(line)
        if sys.stderr.isatty():
            _follow_live(run, history, tail, seen)
        else:
            _follow_plain(run, history, tail, seen)
    except KeyboardInterrupt as interrupt:
        # The trainer of another run in its place is not ours to stop.
        if what_is_gone(run, had_journal=False, seen=seen):
            return _exit_code(run, history, child, seen)
        return _stop(run, history, tail, signal_of(interrupt))
    return _exit_code(run, history, child, seen)


def read_all(tail: Tail) -> list[Event]:
    """Read everything that a journal holds by now."""
    events, _ = tail.poll()
    while tail.behind:
        events += tail.poll()[0]
    return events


def _lines(events: list[Event]) -> list[str]:
    """The lines of those events that have one."""
    return [line for line in map(event_line, events) if line]


def read_new(history: History, tail: Tail) -> list[str]:
    """Add the new events of a journal to its history, and return their lines."""
    events, restarted = tail.poll()
    if restarted:
        history.__init__()  # type: ignore[misc]  # a replaced journal is a new history
    history.add(events)
    return _lines(events)


def _follow_plain(run: Run, history: History, tail: Tail, seen: str) -> None:
    """Print a line for each event, and a progress line every 30 s without one."""
    printed = time.monotonic()
    told: tuple[int, int | None] = (-1, None)
    while True:
        alive = is_alive(run)
        lines = read_new(history, tail)
        for line in lines:
            say(line)
        done = history.step, history.caching.done if history.caching else None
        overdue = done != told and time.monotonic() - printed > _PLAIN_S
        if lines or overdue:
            printed, told = time.monotonic(), done
            if history.segment and not lines:
                say(f"epoch {history.epoch:.2f}/{history.segment.epochs}: {progress_line(history)}")
        if (not alive and not tail.behind) or what_is_gone(
            run, had_journal=history.segment is not None, seen=seen
        ):
            return
        time.sleep(_POLL_S)


def _follow_live(run: Run, history: History, tail: Tail, seen: str) -> None:
    """Show a progress bar over the whole run, with the lines of events above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    console = Console(stderr=True)
    columns = [
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[line]}"),
    ]
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        task = progress.add_task("train", total=1, epoch="-", line="starting")
        while True:
            alive = is_alive(run)
            for line in read_new(history, tail):
                console.print(Text(line))
            if history.segment:
                views = history.caching
                progress.update(
                    task,
                    total=views.total if views else max(1, history.total_steps),
                    completed=views.done if views else history.step,
                    epoch=f"{history.epoch:.2f}/{history.segment.epochs}",
                    line=progress_line(history),
                )
            if (not alive and not tail.behind) or what_is_gone(
                run, had_journal=history.segment is not None, seen=seen
            ):
                return
            time.sleep(_POLL_S)


def _stop(run: Run, history: History, tail: Tail, number: signal.Signals) -> int:
    """Stop the trainer and wait for it; a second signal returns at once. Returns the exit code."""
    say("stopping after this step, with a checkpoint (press Ctrl-C again to leave without waiting)")
    with contextlib.suppress(KeyboardInterrupt):
        if is_alive(run):
            # A trainer ignores SIGHUP, as it outlives terminals.
            signal_trainer(run, signal.SIGTERM if number == signal.SIGHUP else number)
            wait_until_released(run, 3600)
        for line in read_new(history, tail):
            say(line)
        unsaved = unsaved_words(history)
        if unsaved:
            say(f"tmssl: {unsaved}")
        say(f"stopped; resume with: {_resume_command(run)}")
    return 128 + number


def unsaved_words(history: History) -> str:
    """What a trainer that has ended did not save; empty where its last state is on the disk."""
    end, segment = history.end, history.segment
    if segment is None or (end is not None and end.status == "finished"):
        return ""
    saved = history.checkpoints[-1].step if history.checkpoints else 0
    whole = f"the newest checkpoint is of step {saved}"
    if end is None:
        return f"the trainer ended without a word, so its last state was not saved; {whole}"
    if end.status == "failed":
        return f"the trainer failed, and its last state was not saved: {safe(end.reason)}; {whole}"
    step = end.step or history.step  # older journals have none
    return "" if saved >= step else f"the last state, of step {step}, was not saved; {whole}"


def _exit_code(run: Run, history: History, child: Child | None, seen: str) -> int:
    """Say how a run ended.

    Raises:
        TrainingError: it failed, or its trainer vanished.
    """
    outcome = state(history, alive=False)
    gone = what_is_gone(run, had_journal=history.segment is not None, seen=seen)
    if gone and outcome != "finished":
        raise TrainingError(
            f"{gone}; what is left of the run is there: nothing follows it any more"
        )
    if outcome == "finished":
        why = ""
        if history.end is not None and history.step < history.total_steps:
            why = f" early, at epoch {history.epoch:.4g}: {safe(history.end.reason)}"
        say(f"finished{why}: {safe(run.path)}")
        return 0
    if outcome == "stopped":
        say(f"stopped at epoch {history.epoch:.2f}; resume with: {_resume_command(run)}")
        return 0
    if outcome == "failed" and history.end is not None:
        memory = (
            child.memory_words() if child else ""
        )  # of several processes one may have been killed
        raise TrainingError(
            f"training failed: {safe(history.end.reason)}{memory}; see {safe(run.log)}"
        )
    tell_of_death(run, history)
    how = (child and child.end_words()) or last_log_line(run.log)
    raise TrainingError(
        f"the trainer vanished at epoch {history.epoch:.2f} ({how}); "
        f"resume with: {_resume_command(run)}"
    )


def _resume_command(run: Run) -> str:
    """The command that resumes a run, to paste into a shell."""
    return f"tmssl train --resume {pasted(run.path)}"
