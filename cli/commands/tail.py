"""`tmssl tail`: the events of a run as lines, without touching the run."""

import contextlib
import time
from typing import Annotated

import typer

from cli.follow import event_line, read_all
from cli.options import MOST, RUNS_DEFAULT, RunPath, RunsFolder, accept_run_option, find_run
from cli.output.console import say, say_data
from cli.streams import end_without_reader
from tmssl.errors import TrainingError
from tmssl.runs.events import Event, Segment, Step
from tmssl.runs.folder import folder_identity, is_alive, what_is_gone
from tmssl.runs.history import read_history, state
from tmssl.runs.journal import Tail, read_journal
from tmssl.text import learning_rate, number, safe

_POLL_S = 0.5


@accept_run_option
def tail(
    run: RunPath = None,
    lines: Annotated[
        int,
        typer.Option("-n", "--lines", min=0, max=MOST, metavar="N", help="Past lines to print."),
    ] = 10,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Go on until the trainer ends.")
    ] = True,
    runs_folder: RunsFolder = RUNS_DEFAULT,
) -> None:
    """Print the events of a run as lines, and new ones as they come; Ctrl-C only leaves."""
    opened = find_run(run, runs_folder)
    journal, seen = Tail(opened.journal), folder_identity(opened)
    alive = is_alive(opened)
    past = _lines(read_all(journal))
    for line in past[len(past) - min(lines, len(past)) :]:
        say_data(line)
    with contextlib.suppress(KeyboardInterrupt):
        while follow and alive and not what_is_gone(opened, had_journal=bool(past), seen=seen):
            end_without_reader()
            time.sleep(_POLL_S)
            alive = is_alive(opened)
            for line in _lines(journal.poll()[0]):
                say_data(line)
    gone = what_is_gone(opened, had_journal=bool(past), seen=seen) if past else ""
    if gone:
        raise TrainingError(f"{gone}; nothing follows it any more")
    events = read_journal(opened.journal) if opened.journal.exists() else []
    say(f"{safe(opened.name)} is {state(read_history(events), is_alive(opened))}")


def _lines(events: list[Event]) -> list[str]:
    """The lines of those events that have one."""
    return [line for line in map(_line, events) if line]


def _line(event: Event) -> str | None:
    """One event as a line; beside the lines of `cli.follow`, steps and segments have one."""
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
    return event_line(event)
