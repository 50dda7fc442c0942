"""`tmssl tail`: what happens in a run, a line at a time, without touching it."""

import contextlib
import time
from typing import Annotated

import typer

from cli.follow import event_words, say
from cli.options import RUNS_DEFAULT, RunPath, RunsFolder, chosen_run
from tmssl.runs.events import Event, Segment, Step
from tmssl.runs.folder import is_alive, open_run
from tmssl.runs.history import read_history, state
from tmssl.runs.journal import Tail, read_journal
from tmssl.text import learning_rate, number, safe

_POLL_S = 0.5


def tail(
    run: RunPath = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, metavar="N", help="Lines of the past to show.")
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Stay until the trainer is gone.")
    ] = True,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Print a run's events as lines, and go on while it is trained; Ctrl-C only leaves."""
    opened = open_run(chosen_run(run, runs_folder))
    journal = Tail(opened.journal)
    past: list[str] = []
    alive = is_alive(opened)
    while True:
        past += _lines(journal.poll()[0])
        if not journal.behind:
            break
    for line in past[len(past) - min(lines, len(past)) :]:
        print(line)  # noqa: T201 - stdout is data
    with contextlib.suppress(KeyboardInterrupt):
        while follow and alive:
            time.sleep(_POLL_S)
            alive = is_alive(opened)
            for line in _lines(journal.poll()[0]):
                print(line, flush=True)  # noqa: T201 - stdout is data
    events = read_journal(opened.journal) if opened.journal.exists() else []
    say(f"{safe(opened.name)} is {state(read_history(events), is_alive(opened))}")


def _lines(events: list[Event]) -> list[str]:
    """The lines that events deserve."""
    return [line for line in map(_words, events) if line]


def _words(event: Event) -> str | None:
    """One event as a line."""
    if isinstance(event, Step):
        return (
            f"step {event.step} (epoch {event.epoch:.2f}): loss {number(event.loss)}, "
            f"cross-entropy {number(event.ce)}, lr {learning_rate(event.lr)}, {number(event.img_s, 3)} img/s"
        )
    if isinstance(event, Segment):
        return (
            f"segment {event.number} ({safe(event.reason)}) at epoch {event.epoch:.4g}, to epoch "
            f"{event.epochs}; chance {number(event.chance)}"
        )
    return event_words(event)
