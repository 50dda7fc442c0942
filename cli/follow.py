"""Follow a trainer from outside: a progress bar on a terminal, plain lines elsewhere."""

import contextlib
import signal
import sys
import time

from cli.output.console import say
from tmssl.errors import TrainingError
from tmssl.runs.cost import cost, cost_words
from tmssl.runs.events import Checkpoint, Epoch, Eval, Event, Finding, Segment
from tmssl.runs.folder import Run, is_alive
from tmssl.runs.history import History, state
from tmssl.runs.journal import Tail
from tmssl.runs.launch import last_log_line, signal_trainer, wait_until_released
from tmssl.runs.main_figure import judge
from tmssl.text import duration, learning_rate, number, pasted, safe

_POLL_S = 0.2
_PLAIN_S = 30.0  # seconds between plain lines within an epoch


def progress_line(history: History) -> str:
    """`loss 4.79 (chance 5.55), lr 2.41e-04, 812 img/s, ETA 2h 07m`."""
    segment = history.segment
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


def follow(run: Run, *, begun: bool) -> int:
    """Show a run until its trainer ends; Ctrl-C stops it gracefully. Returns the exit code.

    Args:
        run: the run.
        begun: whether its trainer was just started, so that its newest segment is news.

    Raises:
        TrainingError: the trainer failed or vanished.
    """
    history, tail = History(), Tail(run.journal)
    try:
        events = read_all(tail)
        history.add(events)
        segments = [i for i, event in enumerate(events) if isinstance(event, Segment)]
        for line in _lines(events[segments[-1] :] if begun and segments else []):
            say(line)
        if sys.stderr.isatty():
            _follow_live(run, history, tail)
        else:
            _follow_plain(run, history, tail)
    except KeyboardInterrupt:
        return _stop(run, history, tail)
    return _exit_code(run, history)


def read_all(tail: Tail) -> list[Event]:
    """Read everything that a journal holds by now."""
    events, _ = tail.poll()
    while tail.behind:
        events += tail.poll()[0]
    return events


def _lines(events: list[Event]) -> list[str]:
    """The lines of those events that have one."""
    return [line for line in map(event_line, events) if line]


def _read_new(history: History, tail: Tail) -> list[str]:
    """Add the new events to the history and return their lines."""
    events, restarted = tail.poll()
    if restarted:
        history.__init__()  # type: ignore[misc]  # a replaced journal is a new history
    history.add(events)
    return _lines(events)


def _follow_plain(run: Run, history: History, tail: Tail) -> None:
    """Print a line for each event, and a progress line every 30 s without one."""
    printed, step = time.monotonic(), -1
    while True:
        alive = is_alive(run)
        lines = _read_new(history, tail)
        for line in lines:
            say(line)
        overdue = history.step > step and time.monotonic() - printed > _PLAIN_S
        if lines or overdue:
            printed, step = time.monotonic(), history.step
            if history.segment and not lines:
                say(f"epoch {history.epoch:.2f}/{history.segment.epochs}: {progress_line(history)}")
        if not alive and not tail.behind:
            return
        time.sleep(_POLL_S)


def _follow_live(run: Run, history: History, tail: Tail) -> None:
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
            for line in _read_new(history, tail):
                console.print(Text(line))
            if history.segment:
                progress.update(
                    task,
                    total=max(1, history.total_steps),
                    completed=history.step,
                    epoch=f"{history.epoch:.2f}/{history.segment.epochs}",
                    line=progress_line(history),
                )
            if not alive and not tail.behind:
                return
            time.sleep(_POLL_S)


def _stop(run: Run, history: History, tail: Tail) -> int:
    """Stop the trainer and wait for it; a second Ctrl-C returns at once. Returns the exit code."""
    say("stopping after this step, with a checkpoint (press Ctrl-C again to leave without waiting)")
    with contextlib.suppress(KeyboardInterrupt):
        if is_alive(run):
            signal_trainer(run, signal.SIGINT)
            wait_until_released(run, 3600)
        for line in _read_new(history, tail):
            say(line)
        say(f"stopped; resume with: {_resume_command(run)}")
    return 130


def _exit_code(run: Run, history: History) -> int:
    """Say how a run ended.

    Raises:
        TrainingError: it failed, or its trainer vanished.
    """
    outcome = state(history, alive=False)
    if outcome == "finished":
        say(f"finished: {safe(run.path)}")
        return 0
    if outcome == "stopped":
        say(f"stopped at epoch {history.epoch:.2f}; resume with: {_resume_command(run)}")
        return 0
    if outcome == "failed" and history.end is not None:
        raise TrainingError(f"training failed: {safe(history.end.reason)}; see {safe(run.log)}")
    raise TrainingError(
        f"the trainer vanished at epoch {history.epoch:.2f} ({last_log_line(run.log)}); "
        f"resume with: {_resume_command(run)}"
    )


def _resume_command(run: Run) -> str:
    """The command that resumes a run, to paste into a shell."""
    return f"tmssl train --resume {pasted(run.path)}"
