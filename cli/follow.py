"""Follow a trainer from outside: a progress display for a person, plain lines for a log."""

import contextlib
import signal
import sys
import time

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


def say(words: str) -> None:
    """Words for a person, on stderr."""
    print(words, file=sys.stderr, flush=True)  # noqa: T201 - the one place that speaks


def progress_words(history: History) -> str:
    """`loss 4.79 (chance 5.55), lr 2.41e-04, 812 img/s, ETA 2h 07m`."""
    segment = history.segment
    recent = history.steps[-1] if history.steps else None
    if segment is None or recent is None:
        return "starting"
    words = [
        f"loss {number(recent.loss)} (chance {number(segment.chance)})",
        f"lr {learning_rate(recent.lr)}",
    ]
    if recent.img_s:
        words.append(f"{number(recent.img_s, 3)} img/s")
    words.append(f"ETA {duration(history.seconds_left())}")
    money = cost(history)
    if money:
        words.append(cost_words(money))
    return ", ".join(words)


def event_words(event: Event) -> str | None:
    """The line that an event deserves while following, or None."""
    match event:
        case Epoch():
            return (
                f"epoch {event.epoch}: loss {number(event.loss)}, cross-entropy {number(event.ce)}, "
                f"top-1 {number(event.top1, 3)}, lr {learning_rate(event.lr)}, {duration(event.seconds)}"
            )
        case Eval():
            return f"evaluated epoch {event.epoch:.4g}{_figure_words(event)}"
        case Finding():
            advice = f" - {safe(event.advice)}" if event.advice else ""
            return f"{safe(event.level, 20)}: {safe(event.text)}{advice}"
        case Checkpoint(reason="stop" | "signal"):
            return f"checkpoint at step {event.step}: {safe(event.path)}"
        case _:
            return None


def _figure_words(event: Eval) -> str:
    """The figure that an evaluation is judged by; without labels that of copies."""
    found = judge(event, "auto") or judge(event, "invariance")
    return (
        f": {found.name} {number(found.value, 3)} (chance {number(found.chance, 3)})"
        if found
        else ""
    )


def follow(run: Run, *, begun: bool) -> int:
    """Show a run until its trainer is gone; Ctrl-C stops it gracefully. Returns the exit code.

    Args:
        run: the run.
        begun: whether its trainer was just started, so that all its segment holds is news.

    Raises:
        TrainingError: the trainer failed or vanished.
    """
    history, tail = History(), Tail(run.journal)
    try:
        events = _catch_up(history, tail)
        segments = [i for i, event in enumerate(events) if isinstance(event, Segment)]
        for line in _lines(events[segments[-1] :] if begun and segments else []):
            say(line)
        if sys.stderr.isatty():
            _follow_live(run, history, tail)
        else:
            _follow_plain(run, history, tail)
    except KeyboardInterrupt:
        return _stop(run, history, tail)
    return _outcome(run, history)


def _catch_up(history: History, tail: Tail) -> list[Event]:
    """Take in all that a journal holds, and return it."""
    events, _ = tail.poll()
    while tail.behind:
        events += tail.poll()[0]
    history.add(events)
    return events


def _lines(events: list[Event]) -> list[str]:
    """The lines that events deserve."""
    return [words for words in map(event_words, events) if words]


def _news(history: History, tail: Tail) -> list[str]:
    """Take in what is new and return the lines it deserves."""
    events, restarted = tail.poll()
    if restarted:
        history.__init__()  # type: ignore[misc]  # a replaced journal is a new history
    history.add(events)
    return _lines(events)


def _follow_plain(run: Run, history: History, tail: Tail) -> None:
    """Lines at the end of epochs, and now and then in between."""
    told, step = time.monotonic(), -1
    while True:
        alive = is_alive(run)
        lines = _news(history, tail)
        for line in lines:
            say(line)
        late = history.step > step and time.monotonic() - told > _PLAIN_S
        if lines or late:
            told, step = time.monotonic(), history.step
            if history.segment and not lines:
                say(
                    f"epoch {history.epoch:.2f}/{history.segment.epochs}: {progress_words(history)}"
                )
        if not alive and not tail.behind:
            return
        time.sleep(_POLL_S)


def _follow_live(run: Run, history: History, tail: Tail) -> None:
    """A progress bar over the whole run, with the epoch lines above it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.text import Text

    console = Console(stderr=True)
    columns = [
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[words]}"),
    ]
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as progress:
        task = progress.add_task("train", total=1, epoch="-", words="starting")
        while True:
            alive = is_alive(run)
            for line in _news(history, tail):
                console.print(Text(line))
            if history.segment:
                progress.update(
                    task,
                    total=max(1, history.total_steps),
                    completed=history.step,
                    epoch=f"{history.epoch:.2f}/{history.segment.epochs}",
                    words=progress_words(history),
                )
            if not alive and not tail.behind:
                return
            time.sleep(_POLL_S)


def _stop(run: Run, history: History, tail: Tail) -> int:
    """Ask the trainer to stop and wait; a second Ctrl-C leaves it to finish by itself."""
    say("stopping after this step, with a checkpoint (Ctrl-C again leaves it to finish alone)")
    with contextlib.suppress(KeyboardInterrupt):
        if is_alive(run):
            signal_trainer(run, signal.SIGINT)
            wait_until_released(run, 3600)
        for line in _news(history, tail):
            say(line)
        say(f"stopped; go on with: tmssl train --resume --run {pasted(run.path)}")
    return 130


def _outcome(run: Run, history: History) -> int:
    """What became of the run, in words and as an exit code."""
    became = state(history, alive=False)
    if became == "finished":
        say(f"finished: {safe(run.path)}")
        return 0
    if became == "stopped":
        say(
            f"stopped at epoch {history.epoch:.2f}; go on with: tmssl train --resume --run {pasted(run.path)}"
        )
        return 0
    if became == "failed" and history.end is not None:
        raise TrainingError(f"training failed: {safe(history.end.reason)}; see {safe(run.log)}")
    raise TrainingError(
        f"the trainer vanished at epoch {history.epoch:.2f} ({last_log_line(run.log)}); "
        f"go on with: tmssl train --resume --run {pasted(run.path)}"
    )
